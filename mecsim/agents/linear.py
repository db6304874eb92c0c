"""The layer of every network: PyTorch's linear layer, with its matrix products through oneDNN on a CPU.

In single precision and at batch 64, oneDNN is about twice as fast on AMD's CPUs as the BLAS that `nn.Linear` calls.
Without oneDNN, on other devices, in other precisions and for anything but a batch of vectors this is `nn.Linear`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx


class Linear(nn.Linear):
    """x W^T + b for a batch x, (batch, inputs) -> (batch, outputs), cut off at zero where `relu` is set."""

    def __init__(self, inputs: int, outputs: int, relu: bool = False) -> None:
        super().__init__(inputs, outputs)
        self.relu = relu

    def forward(self, inputs: Tensor) -> Tensor:
        if _served(inputs):
            return _Affine.apply(inputs, self.weight, self.bias, self.relu)
        outputs = super().forward(inputs)
        return torch.relu(outputs) if self.relu else outputs

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, relu={self.relu}"


def _served(inputs: Tensor) -> bool:
    """Can oneDNN take this product in single precision?"""
    single = inputs.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    return inputs.is_cpu and inputs.dim() == 2 and single and torch.backends.mkldnn.is_available()


class _Affine(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, inputs: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        outputs = _product(weight, inputs).t().add_(bias)
        ctx.save_for_backward(inputs, weight, outputs.relu_() if relu else None)
        return outputs

    @staticmethod
    def backward(ctx: FunctionCtx, slope: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, cut_off = ctx.saved_tensors
        needs_inputs, needs_weight, *_ = ctx.needs_input_grad
        if cut_off is not None:
            slope = torch.ops.aten.threshold_backward.default(slope, cut_off, 0)
        return (
            _product(slope, weight.t()) if needs_inputs else None,
            _product(slope.t(), inputs.t()) if needs_weight else None,
            slope.sum(0) if needs_weight else None,
            None,
        )


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left right^T; fastest where `left` is stored by rows, which is why `forward` works out y^T = W x^T."""
    return torch.ops.mkldnn._linear_pointwise.default(left, right, None, "none", [], "")
