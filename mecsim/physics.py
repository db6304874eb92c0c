"""The paper's equations (2)-(6), (8)-(11) and (18), one pure function each.

Device arrays are flat, (..., n_devices), BS arrays (..., n_bs); leading axes broadcast. `offload` is x as booleans;
`placement` is y: the BS that computes a task, -1 where the task is discarded (then x = 0), so that C1-C3 hold by
construction. `cell` names the BS that serves each device.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
Numbers = Array | float
"""One number for all, or an array that broadcasts."""

ROUNDING = 1e-12
"""Relative slack of the comparisons in (5) and (11), which meet their limit exactly by construction of (18)."""


def cell_sum(values: Array | Bools, cell: Ints, n_bs: int) -> Array:
    """Sum of device values over each BS, (..., n_devices) -> (..., n_bs); a negative `cell` counts nowhere."""
    bins = np.where(cell < 0, n_bs, cell)
    if values.ndim == bins.ndim == 1:
        return np.bincount(bins, weights=values, minlength=n_bs + 1)[:n_bs].astype(float, copy=False)
    lead = np.broadcast_shapes(values.shape, bins.shape)[:-1]
    rows = np.arange(int(np.prod(lead))).reshape(*lead, 1)
    values, bins = np.broadcast_arrays(values, bins + rows * (n_bs + 1))
    size = rows.size * (n_bs + 1)
    sums = np.bincount(bins.ravel(), weights=values.ravel(), minlength=size)
    sums = sums.astype(float, copy=False)  # an empty sum would be whole numbers
    return sums.reshape(*lead, n_bs + 1)[..., :n_bs]


def at_bs(values: Array, placement: Ints) -> Array:
    """A value of the BS that computes each task, (..., n_bs) -> (..., n_devices); any where a task is discarded."""
    if values.ndim == 1:
        return values[placement]
    return _along(values, np.maximum(placement, 0))


def link_rate_bps(link_bps: Array, cell: Ints, target: Ints) -> Array:
    """C from the serving BS of each device to another, (..., n_devices); of C as (..., n_bs, n_bs)."""
    if link_bps.ndim == 2:
        return link_bps[cell, target]
    pairs = link_bps.reshape(*link_bps.shape[:-2], -1)
    return _along(pairs, cell * link_bps.shape[-1] + target)


def _along(values: Array, index: Ints) -> Array:
    """Entries of the last axis, (..., n) at (..., m) -> (..., m); leading axes broadcast."""
    lead = np.broadcast_shapes(values.shape[:-1], index.shape[:-1])
    values = np.broadcast_to(values, (*lead, values.shape[-1]))
    return np.take_along_axis(values, np.broadcast_to(index, (*lead, index.shape[-1])), axis=-1)


def interference_w(offload: Bools, received_w: Array, cell: Ints, n_bs: int, alpha: Numbers = 1.0) -> Array:
    """Intra-cell interference G, eq. (3), in W, times the interference factor alpha (A1; 1 is eq. (3) as printed).

    Args:
        offload: x, who transmits, (..., n_devices).
        received_w: p h, power received from each device, in W.
        cell: BS that serves each device.
        n_bs: number of BSs.
        alpha: interference factor in [0, 1].
    """
    sent = received_w * offload
    return others_w(cell_sum(sent, cell, n_bs)[..., cell], sent, alpha)


def others_w(heard_w: Numbers, own_w: Numbers, alpha: Numbers) -> Array:
    """The interference of (3) from the power that a BS receives in all and a device's own share of it, in W."""
    return alpha * np.maximum(heard_w - own_w, 0.0)


def uplink_rate_bps(
    received_w: Numbers, interference: Numbers, bandwidth_hz: Numbers, noise_w_per_hz: Numbers
) -> Array:
    """Uplink rate nu, eq. (2), in bit/s: B log2(1 + p h / (B N0 + G))."""
    return bandwidth_hz * np.log2(1.0 + received_w / (bandwidth_hz * noise_w_per_hz + interference))


def uplink_delay_s(size_bits: Array, offload: Bools | bool, rate_bps: Array) -> Array:
    """Uplink delay d^w, eq. (4), in s: z x / nu, 0 where nothing is sent, infinite at rate 0."""
    with np.errstate(divide="ignore"):
        return np.where(offload, size_bits / rate_bps, 0.0)


def uplink_energy_j(power_w: Array, uplink_s: Numbers) -> Array:
    """Energy of one transmission, the left side of (5), in J: p d^w."""
    return power_w * uplink_s


def affordable(needed_j: Array, energy_j: Array) -> Bools:
    """Constraint (5): the stored energy covers the transmission."""
    return needed_j <= energy_j * (1.0 + ROUNDING)


def next_energy_j(energy_j: Array, harvest_j: Array, spent_j: Array, battery_j: Numbers = np.inf) -> Array:
    """Energy queue at the next slot, eq. (6), in J; eq. (6) has no cap, a finite battery is assumption A5."""
    return np.minimum(np.maximum(energy_j + harvest_j - spent_j, 0.0), battery_j)


def link_delay_s(size_bits: Array, placement: Ints, cell: Ints, link_bps: Array) -> Array:
    """Wired delay d^c, eq. (8), in s: z / C between BSs, 0 at home or discarded, infinite without a link.

    Args:
        size_bits: z, (..., n_devices).
        placement: BS that computes each task, -1 where discarded.
        cell: BS that serves each device.
        link_bps: C, (..., n_bs, n_bs), infinite on the diagonal, 0 without a link.
    """
    target = np.where(placement < 0, cell, placement)
    with np.errstate(divide="ignore"):
        return size_bits / link_rate_bps(link_bps, cell, target)


def link_delays_s(size_bits: Array, cell: Ints, link_bps: Array) -> Array:
    """`link_delay_s` of each task to each BS, (..., n_devices, n_bs), in s."""
    n_bs = link_bps.shape[-1]
    everywhere = np.broadcast_to(np.arange(n_bs)[:, None], (n_bs, len(cell)))
    return np.swapaxes(link_delay_s(size_bits[..., None, :], everywhere, cell, link_bps), -1, -2)


def compute_delay_s(cycles: Array, offload: Bools, cpu_hz: Array) -> Array:
    """Computing delay d^m, eq. (9), in s: z v x / f, infinite where an offloaded task is given no CPU."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(offload, cycles / cpu_hz, 0.0)


def cpu_used_hz(placement: Ints, cpu_hz: Array, n_bs: int) -> Array:
    """CPU given out by each BS, the left side of (10) with its index mended (A20), in Hz, (..., n_bs)."""
    return cell_sum(cpu_hz, placement, n_bs)


def on_time(delay_s: Array, deadline_s: Array) -> Bools:
    """The indicator of (11): the task is done by its deadline."""
    return delay_s <= deadline_s * (1.0 + ROUNDING)


def income(award: Array, completed: Bools) -> Array:
    """Income of a slot r, eq. (11): the awards of the tasks completed in time, (...)."""
    return np.where(completed, award, 0.0).sum(axis=-1)


def slack_s(deadline_s: Array, uplink_s: Numbers, link_s: Numbers) -> Array:
    """Time left for computing, the denominator of (18), in s: delta - d^w - d^c."""
    return deadline_s - uplink_s - link_s


def required_cpu_hz(cycles: Array, slack: Array) -> Array:
    """Least CPU that meets the deadline l, eq. (18), in Hz: z v / slack, infinite where no time is left."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(slack > 0, cycles / np.maximum(slack, 0.0), np.inf)


def processing_priority(award: Array, required_hz: Array) -> Array:
    """Processing priority varrho of section IV-B, in 1/Hz: g / l."""
    return award / required_hz
