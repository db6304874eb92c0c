"""One cell under prices: the most that its tasks can be worth in each interval of the power S that its BS receives."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np

from mecsim.bounds.demands import Demands
from mecsim.physics import Array, Bools, Ints


class Favoured(NamedTuple):
    """The tasks that prices favour, and those of the best bucket.

    Attributes:
        worth: what they are worth at most in each bucket, less what they cost, (..., buckets); -inf where it is not
            reached.
        bucket: the one of most worth, (...).
        value: what the tasks of this bucket pay, (...).
        needs_hz: the CPU that they take at each place, (..., places).
        energy_j: the energy that each device takes there, (..., members).
    """

    worth: Array
    bucket: Ints
    value: Array
    needs_hz: Array
    energy_j: Array


@dataclass(frozen=True)
class BucketedCell:
    """The tasks of a cell in intervals (buckets) of S; in many slots, an axis of slots comes first.

    A task is computed at one of several places: the BSs, or all of them pooled into a single one, where it takes what
    it needs at the BS where it needs least.

    Attributes:
        low_w, high_w: the ends of each interval of S, (..., buckets), in W.
        reached: can S be that high, (..., buckets)? Not if all tasks that are possible at the lower end send less.
        received_w: p h of each task, (..., 1, members), in W.
        value: what a task pays if it is computed at a place, less what its energy costs,
            (..., buckets, members, places); -inf where it cannot be.
        needs_hz: the CPU that it takes there, (..., buckets, members, places); 0 where it cannot be computed.
        energy_j: the energy that it takes, (..., buckets, members); 0 where it cannot be computed anywhere.
    """

    low_w: Array
    high_w: Array
    reached: Bools
    received_w: Array
    value: Array
    needs_hz: Array
    energy_j: Array

    @classmethod
    def of(
        cls,
        demands: Demands,
        bs: int,
        low_w: Array,
        high_w: Array,
        at_w: Array | None = None,
        pooled: bool = False,
    ) -> Self:
        """The cell with S between given ends, energy free; its worth is a bound with the demands of the lower end.

        Args:
            demands: the tasks.
            bs: the cell.
            low_w, high_w: (..., buckets).
            at_w: the S that the demands are taken at; by default the lower end.
            pooled: are all BSs one place?
        """
        members = demands.members[bs]
        received = demands.received_w[..., None, members]
        needs, energy = demands.of_cell(bs, low_w if at_w is None else at_w)
        if pooled:
            needs = needs.min(axis=-1, keepdims=True)
        possible = np.isfinite(needs) & (received <= high_w[..., None])[..., None]
        somewhere = np.any(possible, axis=-1)
        most = np.where(somewhere, received, 0.0).sum(axis=-1)
        return cls(
            low_w=low_w,
            high_w=high_w,
            reached=most * (1.0 + 1e-12) >= low_w,
            received_w=received,
            value=np.where(possible, demands.award[..., None, members, None], -np.inf),
            needs_hz=np.where(possible, needs, 0.0),
            energy_j=np.where(somewhere, energy, 0.0),
        )

    def priced(self, price_per_j: Array) -> Self:
        """The cell when each device's energy costs so much more, (members,), in income per J."""
        return replace(self, value=self.value - (price_per_j * self.energy_j)[..., None])

    def favoured(self, price: Array) -> Favoured:
        """What is worth taking when the CPU has a price at each place, (..., places), in income per Hz.

        No tasks whose S lies in a bucket are worth more than the bucket: with the demands of its lower end each is
        worth the most at its best place, and together they send at most its upper end (`fractional`).
        """
        worth = self.value - price[..., None, None, :] * self.needs_hz
        bound, share = fractional(worth.max(axis=-1), self.received_w, self.high_w)
        bound = np.where(self.reached, bound, -np.inf)
        bucket = bound.argmax(axis=-1)
        best = (*np.indices(bucket.shape), bucket)
        taken, place = share[best], worth[best].argmax(axis=-1)[..., None]
        pays = np.take_along_axis(self.value[best], place, axis=-1)[..., 0]
        needs = np.where(place == np.arange(self.needs_hz.shape[-1]), self.needs_hz[best], 0.0)
        return Favoured(
            worth=bound,
            bucket=bucket,
            value=(taken * np.where(taken > 0, pays, 0.0)).sum(axis=-1),
            needs_hz=(needs * taken[..., None]).sum(axis=-2),
            energy_j=taken * self.energy_j[best],
        )

    def only(self, buckets: Ints) -> Self:
        """The cell of many slots with some of its buckets in each, (slots, fewer)."""
        slots = np.arange(len(buckets))[:, None]
        return replace(self, **{name: getattr(self, name)[slots, buckets] for name in _OF_BUCKETS})

    def joined(self, other: Self) -> Self:
        """The cell of many slots with the buckets of another as well."""
        both = {
            name: np.concatenate((getattr(self, name), getattr(other, name)), axis=1) for name in _OF_BUCKETS
        }
        return replace(self, **both)


_OF_BUCKETS = tuple(field.name for field in fields(BucketedCell) if field.name != "received_w")


def fractional(worth: Array, received_w: Array, limit_w: Array) -> tuple[Array, Array]:
    """The best shares x in [0, 1] of tasks whose received powers add up to at most a limit.

    The bound is that of weak duality, limit nu + sum max(worth - nu p h, 0), at the best price nu of power: it holds
    whatever nu is, and so does not depend on how well the shares were found.

    Args:
        worth: (..., tasks); where it is not above 0, a task had better stay silent.
        received_w: p h, (..., tasks).
        limit_w: (...).

    Returns:
        The bound, (...), and the shares, (..., tasks).
    """
    worth = np.maximum(worth, 0.0)
    received_w = np.broadcast_to(received_w, worth.shape)
    bound, share = np.asarray(worth.sum(axis=-1)), (worth > 0).astype(np.float64)
    tight = (received_w * share).sum(axis=-1) > limit_w
    if tight.any():
        bound[tight], share[tight] = _rationed(worth[tight], received_w[tight], limit_w[tight])
    return bound, share


def _rationed(worth: Array, received_w: Array, limit_w: Array) -> tuple[Array, Array]:
    """`fractional` of rows where not all tasks fit that are worth something, (rows, tasks)."""
    ratio = np.divide(worth, received_w, out=np.zeros_like(worth), where=worth > 0)
    order = np.argsort(-ratio, axis=-1)
    sent = np.take_along_axis(received_w, order, axis=-1)
    room = limit_w[:, None] - (sent.cumsum(axis=-1) - sent)
    full = room < sent
    last = np.take_along_axis(order, full.argmax(axis=-1)[:, None], axis=-1)
    price = np.where(full.any(axis=-1), np.take_along_axis(ratio, last, axis=-1)[:, 0], 0.0)
    bound = price * limit_w + np.maximum(worth - price[:, None] * received_w, 0.0).sum(axis=-1)
    taken = np.clip(np.divide(room, sent, out=np.ones_like(sent), where=full), 0.0, 1.0)
    share = np.empty_like(worth)
    np.put_along_axis(share, order, taken, axis=-1)
    return bound, np.where(worth > 0, share, 0.0)
