"""The linear layer of every network: PyTorch's, with its matrix products through oneDNN on a CPU.

In single precision and at batch 64, oneDNN is about twice as fast on AMD's CPUs as the BLAS that `nn.Linear` calls.
Without oneDNN, on other devices, in other precisions and for anything but a batch of vectors this is `nn.Linear`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx


class Linear(nn.Linear):
    """x W^T + b for a batch x, (batch, inputs) -> (batch, outputs)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return _Affine.apply(inputs, self.weight, self.bias) if _served(inputs) else super().forward(inputs)


def _served(inputs: Tensor) -> bool:
    """Can oneDNN take this product in single precision?"""
    single = inputs.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    return inputs.is_cpu and inputs.dim() == 2 and single and torch.backends.mkldnn.is_available()


class _Affine(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _product(weight, inputs).t().add_(bias)

    @staticmethod
    def backward(ctx: FunctionCtx, slope: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        needs_inputs, needs_weight, _ = ctx.needs_input_grad
        return (
            _product(slope, weight.t()) if needs_inputs else None,
            _product(slope.t(), inputs.t()) if needs_weight else None,
            slope.sum(0) if needs_weight else None,
        )


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left right^T; fastest where `left` is stored by rows, which is why `forward` works out y^T = W x^T."""
    return torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
