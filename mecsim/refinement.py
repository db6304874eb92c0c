"""Algorithm 1: the fast action refinement, from the actor's output to a valid action.

Line 1 is `nearest_discrete`, line 2 `keep_affordable`, lines 3-8 `fit_capacity`; `refine` runs all of them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from mecsim import physics
from mecsim.contest import Contest
from mecsim.outcome import uplink
from mecsim.physics import Array, Bools, Ints
from mecsim.removal import LiveKeys, discarded
from mecsim.scenario import Scenario
from mecsim.settings import Settings
from mecsim.state import Action, SystemState


class Refinement(Settings):
    """What the paper leaves open in Algorithm 1.

    Attributes:
        reading: are delays and priorities worked out again after each removal in line 5 (`reassess`), or once before
            the first (`one-shot`)? (A8)
        hopeless: in what order go tasks that cannot meet their deadline: worst slack first, or lowest index? (A9)
        cpu: what a kept task is given: l of (18), l and a share of what is left in proportion to l, or what the actor
            asked for, where a task that asked for less than l cannot meet its deadline (A10).
        energy: does line 2 judge all devices at once, under the interference of all that want to transmit, or discard
            the one of a cell that lacks most, listen again, and go on (A22)? "off" leaves line 2 out, to measure what
            it is worth: a task without the energy is then sent in vain (A23).
        stations: in what order line 3 visits the BSs (A27).
    """

    reading: Literal["reassess", "one-shot"] = "reassess"
    hopeless: Literal["worst slack", "lowest index"] = "worst slack"
    cpu: Literal["least", "pro rata", "actor"] = "least"
    energy: Literal["at once", "one by one", "off"] = "at once"
    stations: Literal["by index", "last first"] = "by index"

    def visits(self, n_bs: int) -> range:
        """The BSs in the order of line 3."""
        return range(n_bs) if self.stations == "by index" else range(n_bs)[::-1]


class ProtoAction(NamedTuple):
    """An action as an actor network puts it out, before it is valid.

    Attributes:
        offload: x, (n_devices,).
        peer: y, (n_devices, n_bs).
        cpu_share: f as a share of each BS's CPU, (n_devices, n_bs).
        order: numbers in the order of `peer` where rounding has made some of those equal, (n_devices, n_bs): a
            sigmoid in single precision is 1 for every input above 17.
    """

    offload: Array
    peer: Array
    cpu_share: Array
    order: Array | None = None


def nearest_discrete(offload: Array, peer: Array, order: Array | None = None) -> Ints:
    """The valid discrete action nearest to a proto-action, eq. (15) under C1-C3, in closed form.

    For one task the distance to "discard" is |x|^2 + |y|^2, that to "offload to BS k" is smaller by
    2 (x + y_k - 1): so the best BS is the one of the largest y, and the task is offloaded where x + max y > 1. A tie
    goes to the discard, then to the lowest BS.

    Args:
        offload: x, (..., n_devices), any numbers but NaN.
        peer: y, (..., n_devices, n_bs).
        order: numbers in the order of y before rounding, see `ProtoAction`; y itself by default.

    Returns:
        The BS that computes each task, -1 where it is discarded, (..., n_devices).
    """
    best = np.argmax(peer if order is None else order, axis=-1)
    return np.where(np.max(peer, axis=-1) > 1.0 - offload, best, -1)


def keep_affordable(
    scenario: Scenario, state: SystemState, placement: Ints, settings: Refinement | None = None
) -> Ints:
    """Discards every task whose device lacks the energy to send it, eqs. (16) and (17).

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot.
        placement: a discrete action that satisfies C1-C3, (..., n_devices).
        settings: what the paper leaves open; of these, `energy` counts here (A22).
    """
    settings = settings or Refinement()
    if settings.energy == "off":
        return placement.copy()
    needed = uplink(scenario, state, placement >= 0).energy_j
    lacking = ~physics.affordable(needed, state.energy_j)
    if settings.energy == "one by one":
        while lacking.any():
            placement = np.where(_worst(scenario, needed - state.energy_j, lacking), -1, placement)
            needed = uplink(scenario, state, placement >= 0).energy_j
            lacking = ~physics.affordable(needed, state.energy_j)
    return np.where(lacking, -1, placement)


def _worst(scenario: Scenario, lack_j: Array, lacking: Bools) -> Bools:
    """The device of each cell that lacks most energy, of those that lack any, (..., n_devices)."""
    worst = np.zeros_like(lacking)
    for cell in np.split(np.arange(scenario.n_devices), np.cumsum(scenario.devices)[:-1]):
        first = np.where(lacking[..., cell], lack_j[..., cell], -np.inf).argmax(axis=-1)[..., None]
        np.put_along_axis(worst[..., cell[0] : cell[-1] + 1], first, True, axis=-1)
    return worst & lacking


def fit_capacity(
    scenario: Scenario,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
    shielded: Bools | None = None,
) -> Action:
    """Discards tasks of the lowest processing priority until every BS satisfies (10), lines 3-8.

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot.
        placement: a discrete action that satisfies C1-C3 and (5).
        settings: what the paper leaves open.
        cpu_share: f as a share of each BS's CPU, (n_devices, n_bs); needed where `settings.cpu` is "actor".
        shielded: tasks that a BS discards only after all its others, (n_devices,).

    Returns:
        A valid action; every task it keeps meets its deadline.
    """
    settings = settings or Refinement()
    contest = Contest.of(scenario, state, placement, settings, cpu_share, shielded)
    kept = placement.copy()
    groups = _members(placement, scenario.n_bs)
    if settings.reading == "one-shot":
        heard = contest.heard_w(placement >= 0)
        _fit_once(contest, kept, groups, heard)
    else:
        live = LiveKeys(contest, placement >= 0)
        for bs in settings.visits(scenario.n_bs):
            kept[discarded(contest, live, kept, bs, groups[bs])] = -1
        heard = contest.heard_w(kept >= 0)
    return Action(kept, share_cpu(settings, kept, contest.required_hz(heard), contest.asked_hz, state.cpu_hz))


def refine(
    scenario: Scenario, state: SystemState, proto: ProtoAction, settings: Refinement | None = None
) -> Action:
    """Algorithm 1: the valid action that an actor's output stands for.

    Raises:
        ValueError: the proto-action holds a NaN.
    """
    return refine_discrete(scenario, state, line_1(proto), settings, proto.cpu_share)


def line_1(proto: ProtoAction) -> Ints:
    """`nearest_discrete` of a proto-action, (..., n_devices).

    Raises:
        ValueError: the proto-action holds a NaN.
    """
    for name, values in zip(proto._fields, proto, strict=True):
        if values is not None and np.isnan(values).any():
            raise ValueError(f"proto-action {name} holds a NaN; it should hold numbers.")
    return nearest_discrete(proto.offload, proto.peer, proto.order)


def refine_discrete(
    scenario: Scenario,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
    shielded: Bools | None = None,
) -> Action:
    """Lines 2-8 of Algorithm 1, for an action that is discrete already; see `fit_capacity`."""
    powered = keep_affordable(scenario, state, placement, settings)
    return fit_capacity(scenario, state, powered, settings, cpu_share, shielded)


def _members(placement: Ints, n_bs: int) -> list[Ints]:
    """The tasks on each BS, ascending."""
    by_bs = np.argsort(placement, kind="stable")
    ends = np.searchsorted(placement[by_bs], np.arange(n_bs + 1))
    return [by_bs[start:end] for start, end in pairwise(ends)]


def _fit_once(contest: Contest, kept: Ints, groups: list[Ints], heard_w: Array) -> None:
    """Lines 3-8 with every priority worked out before the first removal."""
    keys, demand = contest.standing(heard_w)
    for members, capacity in zip(groups, contest.cpu_hz, strict=True):
        best_first = members[np.lexsort((members, keys[members], contest.tier[members]))][::-1]
        fits = (np.cumsum(demand[best_first]) <= capacity) & (keys[best_first] > 0)
        kept[best_first[np.logical_not(np.logical_and.accumulate(fits))]] = -1


def share_cpu(
    settings: Refinement, kept: Ints, required_hz: Array, asked_hz: Array | None, cpu_hz: Array
) -> Array:
    """f of the tasks kept (A10), 0 for the others, (..., n_devices), in Hz."""
    granted = required_hz if asked_hz is None else asked_hz
    granted = np.where(kept >= 0, granted, 0.0)
    if settings.cpu != "pro rata":
        return granted
    used = physics.cpu_used_hz(kept, granted, len(cpu_hz))
    return granted * physics.at_bs(np.divide(cpu_hz, used, out=np.ones_like(used), where=used > 0), kept)
