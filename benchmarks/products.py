"""How near a training slot comes to the machine's limit: its rate against that of bare matrix products."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.flops import into_slot_flops
from benchmarks.result import Result
from benchmarks.training import TABLE_II, IntoSlots, Load
from benchmarks.turns import Peer, cores, in_turn

CALLS = 30
"""Calls that the rate of a product is taken over."""

Product = Callable[[Tensor, Tensor], Tensor]


class Rates(NamedTuple):
    """GFLOP/s of a whole training slot, and of the layer's forward product that is fastest: the strictest yardstick.

    `onednn` is what the networks multiply with (see `mecsim.agents.networks`), 0 where PyTorch comes without it.
    """

    slot: float
    mm: float
    onednn: float


class SlotsAndProducts:
    """A training of INTO, and the bare products of its layers in the same process."""

    def __init__(self, load: Load) -> None:
        actor, critic = load.layers
        batch = load.settings.batch_size
        self._slot_flops = into_slot_flops(actor, critic, batch)
        self._operands = [
            (torch.rand(batch, inputs), torch.rand(outputs, inputs))
            for inputs, outputs in (*pairwise(actor), *pairwise(critic))
        ]
        self._slots = IntoSlots(load)

    def __call__(self, slots: int) -> Rates:
        """Measures the slots, and then the products."""
        slot = self._slot_flops / self._slots(slots) / 1e9
        has_onednn = torch.backends.mkldnn.is_available()
        onednn = max(self._best(_onednn), self._best(_onednn_transposed)) if has_onednn else 0.0
        return Rates(slot, self._best(_mm), onednn)

    def _best(self, product: Product) -> float:
        return max(product_gflops(product, x, weight) for x, weight in self._operands)


def product_gflops(product: Product, x: Tensor, weight: Tensor) -> float:
    """GFLOP/s of x W^T."""
    for _ in range(3):  # the first calls choose a kernel
        product(x, weight)
    start = perf_counter()
    for _ in range(CALLS):
        product(x, weight)
    return 2 * x.shape[0] * weight.numel() * CALLS / (perf_counter() - start) / 1e9


def gemm_fraction(repeats: int, load: Load = TABLE_II) -> Result:
    """GFLOP/s of a training slot over what torch.mm reaches in the same process on the best layer of the networks.

    The slot counts only the products that it needs (see `into_slot_flops`), but takes the time of all it does: acting,
    Algorithm 1, the twin, the optimisers and the targets. It may exceed 1, because the networks multiply through
    oneDNN; the figure `onednn_fraction` has oneDNN's best rate in place of torch.mm's.
    """
    with Peer("INTO", SlotsAndProducts, load, threads=cores()) as peer:
        rates: list[Rates] = [answer for (answer,) in in_turn([peer], repeats, load.chunk)]
    figures = {
        f"{name}_gflop_per_s": median(column)
        for name, column in zip(Rates._fields, zip(*rates, strict=True), strict=True)
    }
    figures["slot_gflop"] = into_slot_flops(*load.layers, load.settings.batch_size) / 1e9
    if all(one.onednn for one in rates):
        figures["onednn_fraction"] = median(one.slot / one.onednn for one in rates)
    return Result([one.slot / one.mm for one in rates], figures)


def _mm(x: Tensor, weight: Tensor) -> Tensor:
    return torch.mm(x, weight.t())


def _onednn(x: Tensor, weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


def _onednn_transposed(x: Tensor, weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(weight, x, None, "none", [], "")
