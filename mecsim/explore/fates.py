"""What becomes of every task in lines 2-8 of Algorithm 1, one removal after the other, and why.

The removals are those of `mecsim.removal`, in its order. Nothing is guessed: a task is told to have been hopeless or
crowded out by what line 6 saw of it at the moment of its removal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from mecsim.agents.base import Offer
from mecsim.contest import Contest
from mecsim.physics import Array, Ints
from mecsim.refinement import Refinement, keep_affordable, refine_discrete
from mecsim.removal import LiveKeys, discarded
from mecsim.scenario import Scenario
from mecsim.system import Action, SystemState

Fate = Literal["at home", "at a peer", "not offered", "no energy", "hopeless", "BS full"]
FATES: tuple[Fate, ...] = ("at home", "at a peer", "not offered", "no energy", "hopeless", "BS full")
"""Executed by its own BS, by another one; or discarded: never on offer (line 1), too little energy to be sent (line 2),
unable to meet its deadline when it was removed, or the lowest priority on a BS with too little CPU (line 6)."""


class Removal(NamedTuple):
    """One task that is taken out.

    Attributes:
        line: 2 or 6 of Algorithm 1.
        bs: the BS that it was offered to.
        task: index of its device.
        why: its fate.
        key: what line 6 went by: the priority varrho in 1/Hz, or a number <= 0 for a hopeless task; NaN in line 2.
        need_hz: what it counts in (10) at that moment; infinite for a hopeless task, NaN in line 2.
    """

    line: int
    bs: int
    task: int
    why: Fate
    key: float
    need_hz: float


class Trace(NamedTuple):
    """Lines 2-8 on one offer.

    Attributes:
        offered: the BS that each task was offered to, -1 where it was not, (n_devices,).
        removals: in the order in which Algorithm 1 makes them.
        action: what is left, with its CPU.
    """

    offered: Ints
    removals: tuple[Removal, ...]
    action: Action

    def placement_after(self, count: int) -> Ints:
        """The placement after the first `count` removals, (n_devices,)."""
        placement = self.offered.copy()
        placement[[removal.task for removal in self.removals[:count]]] = -1
        return placement


def trace(scenario: Scenario, state: SystemState, offer: Offer, settings: Refinement | None = None) -> Trace:
    """Lines 2-8 of Algorithm 1 on an offer, removal by removal."""
    settings = settings or Refinement()
    placement, cpu_share, shielded = offer
    powered = keep_affordable(scenario, state, placement, settings)
    removals = [
        Removal(2, int(placement[task]), int(task), "no energy", np.nan, np.nan)
        for task in np.flatnonzero((placement >= 0) & (powered < 0))
    ]
    contest = Contest.of(scenario, state, powered, settings, cpu_share, shielded)
    line_6 = _one_shot if settings.reading == "one-shot" else _reassessed
    removals += line_6(contest, powered, settings)
    action = refine_discrete(scenario, state, placement, settings, cpu_share, shielded)
    return Trace(placement, tuple(removals), action)


def fates(scenario: Scenario, state: SystemState, traces: Sequence[Trace]) -> list[Fate]:
    """What became of each task in one or more rounds of Algorithm 1; a later round decides where it has the task.

    Raises:
        ValueError: there is no round.
    """
    if not traces:
        raise ValueError("traces = [] is not allowed: there should be at least one round.")
    found: list[Fate] = ["not offered"] * scenario.n_devices
    for one in traces:
        for removal in one.removals:
            found[removal.task] = removal.why
    for task in np.flatnonzero(traces[-1].action.offload):
        at_home = traces[-1].action.placement[task] == scenario.cell[task]
        found[task] = "at home" if at_home else "at a peer"
    return found


def traced(
    scenario: Scenario, state: SystemState, offers: Iterable[Offer], settings: Refinement | None = None
) -> list[Trace]:
    """`trace` of every round of an agent, see `mecsim.agents.Agent.offers`."""
    return [trace(scenario, state, offer, settings) for offer in offers]


def _reassessed(contest: Contest, powered: Ints, settings: Refinement) -> list[Removal]:
    """Lines 3-8 with priorities worked out again after each removal."""
    live, kept, found = LiveKeys(contest, powered >= 0), powered.copy(), []
    for bs in settings.visits(contest.n_bs):
        for task in discarded(contest, live, kept.copy(), bs, np.flatnonzero(kept == bs)):
            found.append(_removal(contest, bs, int(task), contest.heard_w(kept >= 0)))
            kept[task] = -1
    return found


def _one_shot(contest: Contest, powered: Ints, settings: Refinement) -> list[Removal]:
    """Lines 3-8 with priorities from before the first removal."""
    heard, found = contest.heard_w(powered >= 0), []
    keys, demand = contest.standing(heard)
    for bs, capacity in enumerate(contest.cpu_hz):
        members = np.flatnonzero(powered == bs)
        order = members[np.lexsort((members, keys[members], contest.tier[members]))]
        used = np.cumsum(demand[order][::-1])[::-1]  # with a task and all that rank above it
        hopeless = np.flatnonzero(keys[order] <= 0)
        last = max(np.count_nonzero(used > capacity), hopeless[-1] + 1 if hopeless.size else 0)
        found += [_removal(contest, bs, int(task), heard) for task in order[:last]]
    return found


def _removal(contest: Contest, bs: int, task: int, heard_w: Array) -> Removal:
    """A removal in line 6, with the task as it stands when the BSs hear a power `heard_w`."""
    keys, demand = contest.standing(heard_w, np.array([task]))
    why: Fate = "BS full" if keys[0] > 0 else "hopeless"
    return Removal(6, bs, task, why, float(keys[0]), float(demand[0]))
