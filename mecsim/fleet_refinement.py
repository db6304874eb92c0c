"""Algorithm 1 for many states at once, such as those of a fleet.

Device arrays have the shape (n_twins, n_devices); of a state, F and C are shared by all twins.
"""

from __future__ import annotations

import numpy as np

from mecsim import physics
from mecsim.fleet_removal import Lockstep, Tasks, members_of
from mecsim.outcome import uplink
from mecsim.physics import Array, Bools, Ints
from mecsim.refinement import ProtoAction, Refinement, keep_affordable, line_1, share_cpu
from mecsim.scenario import Scenario
from mecsim.state import Action, SystemState


def refine_batch(
    scenario: Scenario, state: SystemState, proto: ProtoAction, settings: Refinement | None = None
) -> Action:
    """`mecsim.refinement.refine` for many states: Algorithm 1, the valid action that an actor's output stands for.

    Raises:
        ValueError: the proto-action holds a NaN.
    """
    return refine_discrete_batch(scenario, state, line_1(proto), settings, proto.cpu_share)


def refine_discrete_batch(
    scenario: Scenario,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
    shielded: Bools | None = None,
) -> Action:
    """`mecsim.refinement.refine_discrete` for many states: lines 2-8 of Algorithm 1.

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot.
        placement: discrete actions that satisfy C1-C3.
        settings: what the paper leaves open.
        cpu_share: f as a share of each BS's CPU, (n_twins, n_devices, n_bs); needed where `settings.cpu` is "actor".
        shielded: tasks that a BS discards only after all its others.
    """
    settings = settings or Refinement()
    kept = keep_affordable(scenario, state, placement, settings)
    tasks = Tasks.of(scenario, state, kept, settings, cpu_share, shielded)
    sending = kept >= 0
    if settings.reading == "one-shot":
        _fit_once(tasks, kept, state.cpu_hz)
    else:
        for bs in settings.visits(scenario.n_bs):
            Lockstep(tasks, kept, bs, state.cpu_hz[bs]).fit()
        sending = kept >= 0
    slack = tasks.left_s - uplink(scenario, state, sending).delay_s
    required = physics.required_cpu_hz(tasks.cycles, slack)
    asked = tasks.asked_hz if settings.cpu == "actor" else None
    return Action(kept, share_cpu(settings, kept, required, asked, state.cpu_hz))


def _fit_once(tasks: Tasks, kept: Ints, cpu_hz: Array) -> None:
    """Lines 3-8 with every key and demand worked out before the first removal."""
    key, demand = tasks.standing(tasks.others_w(tasks.heard_w(kept >= 0)))
    tier = np.zeros_like(kept) if tasks.shielded is None else tasks.shielded.astype(kept.dtype)
    for bs, capacity in enumerate(cpu_hz):
        members, filling = members_of(kept, bs)
        keys, demands, tiers = (np.take_along_axis(values, members, 1) for values in (key, demand, tier))
        best_first = np.lexsort((keys, np.where(filling, -1, tiers)), axis=1)[:, ::-1]
        total = np.cumsum(np.take_along_axis(demands, best_first, 1), axis=1)
        lost = (total > capacity) & ~np.take_along_axis(filling, best_first, 1)
        twin, place = np.nonzero(lost)
        kept[twin, members[twin, best_first[twin, place]]] = -1
