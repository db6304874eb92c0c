"""One cell under prices: the most that its tasks can be worth in each interval of the power S that its BS receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from mecsim.bounds.demands import Demands
from mecsim.physics import Array, Bools


@dataclass(frozen=True)
class Cell:
    """The tasks of a cell in intervals (buckets) of S; leading axes, such as one of slots, stay.

    Attributes:
        low_w, high_w: the ends of each interval of S, (..., buckets), in W.
        received_w: p h of each task, (..., tasks), in W.
        value: what a task pays if it is computed at a BS, (..., buckets, tasks, n_bs); -inf where it cannot be.
        needs_hz: the CPU that it takes there, (..., buckets, tasks, n_bs); 0 where it cannot be computed.
    """

    low_w: Array
    high_w: Array
    received_w: Array
    value: Array
    needs_hz: Array

    @classmethod
    def of(cls, demands: Demands, bs: int, edges_w: Array, price_per_j: Array | float = 0.0) -> Self:
        """A cell with S in the buckets between successive edges; those are left out where no such S can be reached.

        A bucket cannot be reached if all tasks that are possible at its lower end send less than that end.

        Args:
            demands: the tasks of the slot.
            bs: the cell.
            edges_w: ascending, (buckets + 1,), see `bucket_edges`.
            price_per_j: what each device's energy costs, in income per J, (members,).
        """
        low, high = edges_w[:-1], edges_w[1:]
        members = demands.members[bs]
        received = demands.received_w[members]
        needs, energy = demands.of_cell(bs, low)
        needs[received > high[:, None]] = np.inf
        possible = np.isfinite(needs)
        most = np.where(possible.any(axis=-1), received, 0.0).sum(axis=-1)
        reached = most * (1.0 + 1e-12) >= low
        cost = np.multiply(energy, price_per_j, out=np.zeros_like(energy), where=possible.any(axis=-1))
        value = np.where(possible, (demands.award[members] - cost)[..., None], -np.inf)
        return cls(
            low[reached], high[reached], received, value[reached], np.where(possible, needs, 0.0)[reached]
        )

    def bound(self, price: Array) -> Array:
        """What the cell is worth at most in each bucket, less what its CPU costs, (..., buckets).

        Args:
            price: of the CPU at each BS, (..., n_bs), in income per Hz.
        """
        worth, _ = self._best(price)
        return fractional(worth, self.received_w[..., None, :], self.high_w)[0]

    def choice(self, price: Array, bucket: int) -> tuple[float, Array]:
        """The tasks behind `bound` in one bucket: what they pay, and the CPU they take at each BS, (n_bs,)."""
        worth, best = self._best(price)
        share = fractional(worth[bucket], self.received_w, self.high_w[bucket])[1]
        at = best[bucket, :, None] == np.arange(self.needs_hz.shape[-1])
        pays = np.where(at, self.value[bucket], -np.inf).max(axis=-1)
        used = np.where(at, self.needs_hz[bucket], 0.0) * share[:, None]
        return float((share * np.where(share > 0, pays, 0.0)).sum()), used.sum(axis=0)

    def _best(self, price: Array) -> tuple[Array, Array]:
        """What each task is worth at its best BS, (..., buckets, tasks), and that BS."""
        worth = self.value - price[..., None, None, :] * self.needs_hz
        best = worth.argmax(axis=-1)
        return np.take_along_axis(worth, best[..., None], axis=-1)[..., 0], best


def bucket_edges(demands: Demands, bs: int, low_w: float, high_w: float, count: int) -> Array:
    """Ends of buckets between two powers, ascending and each once, (buckets + 1,), see `cut`."""
    if not demands.alpha or high_w <= low_w:
        return np.array([low_w, high_w])
    return np.unique(cut(demands.noise_w[bs] / demands.alpha, np.array(low_w), np.array(high_w), count))


def cut(quiet_w: float, low_w: Array, high_w: Array, count: int) -> Array:
    """Ends of parts between powers, (...) -> (..., count + 1): noise and interference grow alike in each part.

    Args:
        quiet_w: the power whose interference is as much as the noise, B N0 / alpha.
        low_w, high_w: where the first part begins and the last one ends, (...).
        count: how many parts.
    """
    growth = (quiet_w + high_w) / (quiet_w + low_w)
    inside = (quiet_w + low_w)[..., None] * growth[..., None] ** (np.arange(1, count) / count) - quiet_w
    inside = np.clip(inside, low_w[..., None], high_w[..., None])
    return np.concatenate((low_w[..., None], inside, high_w[..., None]), axis=-1)


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
    limit_w = np.asarray(limit_w)
    tight = np.asarray((received_w * share).sum(axis=-1) > limit_w)
    if tight.any():
        bound[tight], share[tight] = _rationed(worth[tight], received_w[tight], limit_w[tight])
    return bound, share


def _rationed(worth: Array, received_w: Array, limit_w: Array) -> tuple[Array, Array]:
    """`fractional` of rows where not all tasks fit that are worth something, (rows, tasks)."""
    ratio = np.divide(worth, received_w, out=np.zeros_like(worth), where=worth > 0)
    order = np.argsort(-ratio, axis=-1)
    sent = np.take_along_axis(received_w, order, axis=-1)
    room = limit_w[:, None] - (sent.cumsum(axis=-1) - sent)
    full: Bools = room < sent
    last = np.take_along_axis(order, full.argmax(axis=-1)[:, None], axis=-1)
    price = np.where(full.any(axis=-1), np.take_along_axis(ratio, last, axis=-1)[:, 0], 0.0)
    bound = price * limit_w + np.maximum(worth - price[:, None] * received_w, 0.0).sum(axis=-1)
    taken = np.clip(np.divide(room, sent, out=np.ones_like(sent), where=full), 0.0, 1.0)
    share = np.empty_like(worth)
    np.put_along_axis(share, order, taken, axis=-1)
    return bound, np.where(worth > 0, share, 0.0)
