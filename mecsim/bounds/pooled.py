"""One cell in many slots, with the BSs that it can reach pooled into one: what its tasks are worth under prices."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np

from mecsim.bounds.cells import fractional
from mecsim.bounds.demands import Demands
from mecsim.physics import Array, Bools, Ints


class Favoured(NamedTuple):
    """The tasks that prices favour.

    Attributes:
        worth: what they are worth at most in each bucket, less what they cost, (slots, buckets).
        needs_hz: the CPU that those of the best bucket take, (slots,).
        energy_j: the energy that each device takes there, (slots, members).
    """

    worth: Array
    needs_hz: Array
    energy_j: Array


@dataclass(frozen=True)
class PooledCell:
    """The tasks of a cell in intervals (buckets) of the power S that its BS receives in all.

    Each task takes what it needs at the BS where it needs least. Arrays are (slots, buckets), and those of tasks
    (slots, buckets, members).

    Attributes:
        low_w, high_w: the ends of S.
        reached: can S be that high?
        received_w: p h of each task, (slots, 1, members).
        value: what each task pays, less what its energy costs; 0 where it is not possible.
        needs_hz, energy_j: the CPU and the energy that it takes; 0 where it is not possible.
    """

    low_w: Array
    high_w: Array
    reached: Bools
    received_w: Array
    value: Array
    needs_hz: Array
    energy_j: Array

    @classmethod
    def of(cls, demands: Demands, bs: int, low_w: Array, high_w: Array, at_w: Array | None = None) -> Self:
        """The cell with S between given ends, energy free; its worth is a bound with the demands of the lower end.

        Args:
            demands: the tasks of many slots.
            bs: the cell.
            low_w, high_w: (slots, buckets).
            at_w: the S that the demands are taken at; by default the lower end.
        """
        members = demands.members[bs]
        received = demands.received_w[:, None, members]
        needs, energy = demands.of_cell(bs, low_w if at_w is None else at_w)
        needs = needs.min(axis=-1)
        possible = np.isfinite(needs) & (received <= high_w[..., None])
        reached = (received * possible).sum(axis=-1) * (1.0 + 1e-12) >= low_w
        needs, energy = np.where(possible, needs, 0.0), np.where(possible, energy, 0.0)
        return cls(
            low_w, high_w, reached, received, demands.award[:, None, members] * possible, needs, energy
        )

    def priced(self, price_per_j: Array) -> Self:
        """The cell when each device's energy costs so much more, (members,), in income per J."""
        return replace(self, value=self.value - price_per_j * self.energy_j)

    def favoured(self, cpu_price: Array) -> Favoured:
        """What is worth taking when the CPU has a price in each slot, (slots,), in income per Hz."""
        worth = self.value - cpu_price[:, None, None] * self.needs_hz
        bound, share = fractional(worth, self.received_w, self.high_w)
        bound = np.where(self.reached, bound, -np.inf)
        best = np.arange(len(bound)), bound.argmax(axis=1)
        taken = share[best]
        return Favoured(bound, (taken * self.needs_hz[best]).sum(axis=-1), taken * self.energy_j[best])

    def only(self, buckets: Ints) -> Self:
        """The cell with some of its buckets in each slot, (slots, fewer)."""
        slots = np.arange(len(buckets))[:, None]
        return replace(self, **{name: getattr(self, name)[slots, buckets] for name in _OF_BUCKETS})

    def joined(self, other: Self) -> Self:
        """The cell with the buckets of another as well."""
        both = {
            name: np.concatenate((getattr(self, name), getattr(other, name)), axis=1) for name in _OF_BUCKETS
        }
        return replace(self, **both)


_OF_BUCKETS = tuple(field.name for field in fields(PooledCell) if field.name != "received_w")
