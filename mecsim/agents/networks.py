"""The fully connected networks of Table II, their linear layer, and the tensor operations that every learner shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function

from mecsim.system import stream


class Linear(nn.Linear):
    """x W^T + b for a batch x, (batch, inputs) -> (batch, outputs), cut off at zero where `relu` is set."""

    def __init__(self, inputs: int, outputs: int, relu: bool = False) -> None:
        super().__init__(inputs, outputs, device="cpu", dtype=torch.float32)  # whatever the defaults are
        self.relu = relu

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (PyTorch's name)
        if _served(input):
            return _Affine.apply(input, self.weight, self.bias, self.relu)
        outputs = super().forward(input)
        return torch.relu(outputs) if self.relu else outputs

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, relu={self.relu}"


def _served(inputs: Tensor) -> bool:
    """Can oneDNN take this product in single precision?"""
    single = inputs.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    return inputs.is_cpu and inputs.dim() == 2 and single and torch.backends.mkldnn.is_available()


class _Affine(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        outputs = _product(weight, inputs).t().add_(bias)
        ctx.save_for_backward(inputs, weight, outputs.relu_() if relu else None)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        (slope,) = grad_outputs
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


def mlp(sizes: Sequence[int], output: nn.Module | None = None) -> nn.Sequential:
    """Linear layers of the given sizes with ReLU between them, PyTorch's initialisation (A13)."""
    *hidden, last = pairwise(sizes)
    layers = [*(Linear(*ends, relu=True) for ends in hidden), Linear(*last)]
    return nn.Sequential(*layers, *([output] if output else []))


class Critic(nn.Module):
    """Q(s, a): one number for a state and an action vector."""

    def __init__(self, state_size: int, action_size: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = mlp((state_size + action_size, *hidden, 1))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        return self.layers(torch.cat((state, action), dim=1)).squeeze(1)


def seed_networks(seed: int) -> None:
    """Seeds PyTorch's generator on the CPU, where networks are made, from the stream "networks".

    Call it inside `torch.random.fork_rng(devices=[])`, which puts the generator back and leaves those of GPUs alone.
    """
    torch.default_generator.manual_seed(int(stream(seed, "networks").integers(2**63)))


def make_optimiser(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam (A13), one fused pass over all weights."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)


def descend(loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """One step of gradient descent on the weights of one network; no other weight gets a gradient."""
    weights = list(network.parameters())
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = gradient
    optimiser.step()


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Moves a target network, eqs. (21) and (22): theta' = rate theta + (1 - rate) theta'."""
    followed, leading = (list[Tensor](network.parameters())[::-1] for network in (target, source))
    # Last weights first: the next pass begins with what is then still in the cache.
    torch._foreach_lerp_(followed, leading, rate)  # pyright: ignore[reportCallIssue, reportPrivateImportUsage]


def optimiser_tensors(optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """The state of Adam as named tensors."""
    states = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value for index, state in states.items() for name, value in state.items()}


def restore_optimiser(optimiser: torch.optim.Adam, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimiser_tensors` took out."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def to_tensor(vector: np.ndarray, device: torch.device) -> Tensor:
    """A vector as a batch of one; a batch of vectors as it is."""
    return torch.from_numpy(np.atleast_2d(vector)).to(device)


@contextmanager
def constant(network: nn.Module) -> Iterator[None]:
    """Holds a network while another learns through it, so that no gradient of its weights is worked out."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def freeze(networks: Iterable[nn.Module]) -> None:
    """Marks networks as targets: they follow, they are never trained."""
    for network in networks:
        network.requires_grad_(False)
