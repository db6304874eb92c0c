"""The fully connected networks of Table II, their linear layer, and the tensor operations that every learner shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function

from mecsim.physics import Array
from mecsim.system import stream


class Linear(nn.Linear):
    """x W^T + b for a batch x, (batch, inputs) -> (batch, outputs), cut off at zero where `relu` is set.

    In the networks of a stack every array has an axis of members in front; see `seeded`.
    """

    def __init__(self, inputs: int, outputs: int, relu: bool = False) -> None:
        super().__init__(inputs, outputs, device="cpu", dtype=torch.float32)  # whatever the defaults are
        self.relu = relu

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (PyTorch's name)
        if _served(input):
            return _Affine.apply(input, self.weight, self.bias, self.relu)
        if (
            self.weight.dim() == 3
        ):  # (W x^T + b)^T: the other order is slow, as it gives gradients of another layout
            outputs = torch.baddbmm(self.bias[..., None], self.weight, input.mT).mT
        else:
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
        return self.layers(torch.cat((state, action), dim=-1)).squeeze(-1)


def seeded(seed: int | Sequence[int], make: Callable[[], Sequence[nn.Module]], device: torch.device) -> Any:
    """The networks that `make` gives for a seed; for many seeds each network is a stack, its weights (seeds, ...).

    They are made on the CPU, from the stream "networks"; PyTorch's own streams, those of GPUs too, stay where they are.
    """
    stacks: Sequence[nn.Module] = ()
    with torch.random.fork_rng(devices=[]):
        for member, one in enumerate([seed] if isinstance(seed, int) else seed):
            torch.default_generator.manual_seed(int(stream(one, "networks").integers(2**63)))
            networks = make()
            if isinstance(seed, int):
                return [network.to(device) for network in networks]
            stacks = stacks or [_stack(network, len(seed), device) for network in networks]
            for stack, network in zip(stacks, networks, strict=True):
                for rows, weight in zip(stack.parameters(), network.parameters(), strict=True):
                    rows.data[member] = weight.data
    return stacks


def _stack(network: nn.Module, members: int, device: torch.device) -> nn.Module:
    """A network of the same layers, with room for the weights of many."""
    stack = deepcopy(network)
    for layer in stack.modules():
        for name, weight in layer.named_parameters(recurse=False):
            setattr(layer, name, nn.Parameter(weight.new_empty((members, *weight.shape), device=device)))
    return stack


def make_optimiser(network: nn.Module, learning_rate: float | Array) -> torch.optim.Adam:
    """Adam (A13), one fused pass over all weights; with rates (members, 1), one over the rows of each rate."""
    if isinstance(learning_rate, np.ndarray):
        return AdamByRows(network, learning_rate)
    return torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)


class AdamByRows(torch.optim.Adam):
    """Adam over a stack of networks, in which members learn at rates of their own.

    Neighbours of one rate are one group, so that members of the same rate should be neighbours.

    Args:
        network: the stack.
        rates: (members, 1).
    """

    def __init__(self, network: nn.Module, rates: Array) -> None:
        self._weights, groups, first = list(network.parameters()), [], 0
        for rate, same in groupby(rates.ravel().tolist()):
            rows = slice(first, first := first + len(list(same)))
            parts = [nn.Parameter(weight.detach()[rows]) for weight in self._weights]
            groups.append({"params": parts, "lr": rate, "rows": rows})
        super().__init__(groups, fused=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_weights": self._weights}

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients of the whole weights."""
        for group in self.param_groups:
            for part, weight in zip(group["params"], self._weights, strict=True):
                part.data, part.grad = weight.data[group["rows"]], weight.grad[group["rows"]]  # pyright: ignore
        super().step(closure)


def descend(loss: Tensor, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """One step of gradient descent on the weights of one network; no other weight gets a gradient.

    The loss is a mean over a mini-batch; over those of all members of a stack, each of which goes down its own.
    """
    weights = list(network.parameters())
    if weights[0].dim() == 3:
        loss = loss * len(weights[0])
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
    """The state of Adam as named tensors, those of rows put together again."""
    states, groups = optimiser.state_dict()["state"], optimiser.param_groups
    weights = len(groups[0]["params"])
    return {
        f"{index}.{name}": _joined([states[index + weights * group][name] for group in range(len(groups))])
        for index in range(weights if states else 0)
        for name in states[index]
    }


def _joined(parts: list[Tensor]) -> Tensor:
    """Rows below rows; steps are the same in all."""
    return torch.cat(parts) if len(parts) > 1 and parts[0].dim() else parts[0]


def restore_optimiser(optimiser: torch.optim.Adam, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimiser_tensors` took out."""
    groups = optimiser.state_dict()["param_groups"]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        for group in groups:
            rows = value[group["rows"]] if "rows" in group and value.dim() else value.clone()
            state.setdefault(group["params"][int(index)], {})[name] = rows
    optimiser.load_state_dict({"state": state, "param_groups": groups})


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
