"""The look-up that section IV-B calls too slow: the Wolpertinger policy, by trying every discrete action.

The paper's alternative to Algorithm 1 finds the kappa valid actions nearest to the actor's output, here those that
satisfy C1-C4, (5) and (10) with f = l of (18), and takes the one that a critic ranks highest. The critic here is the
twin's own income of the slot, which no trained critic can know better: the most generous one possible for the slot.

Placements are numbered as `literal.valid_actions` has them: discard, then BS 0, 1, ..., the last device
changing fastest.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

import numpy as np

from mecsim.physics import Array, Ints
from mecsim.refinement import ProtoAction
from mecsim.scenario import Scenario
from mecsim.settings import SettingError, whole_number
from mecsim.system import Action, SystemState, feasible, least_cpu_hz, outcome

MOST = 4**12
"""Placements that a look-up may try; 12 devices and 3 BSs have as many."""
CHUNK = 2**14
"""Placements tried at once, which bounds the memory."""


def lookup(scenario: Scenario, state: SystemState, proto: ProtoAction, kappa: int = 1) -> Action:
    """The action of the highest income among the kappa feasible ones nearest to a proto-action; a tie: the nearest.

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot.
        proto: the actor's output; its `cpu_share` and `order` play no part.
        kappa: how many nearest feasible actions are ranked, 1 or more.

    Raises:
        SettingError: too many placements to try, a kappa below 1, or a proto-action that is not finite numbers.
    """
    near = nearest_feasible(scenario, state, proto, kappa)
    cpu_hz = least_cpu_hz(scenario, state, near)
    best = int(np.argmax(outcome(scenario, state, Action(near, cpu_hz)).income))
    return Action(near[best], cpu_hz[best])


def nearest_feasible(scenario: Scenario, state: SystemState, proto: ProtoAction, kappa: int = 1) -> Ints:
    """The kappa feasible placements nearest to a proto-action, nearest first, (at most kappa, n_devices).

    Every placement is measured; whether it is feasible is worked out where it would be among the kappa nearest. Of
    several at the same distance the first in the order of the numbering counts as nearer. Discarding every task is
    always feasible, so that there is at least one. See `lookup` for the arguments and errors.
    """
    _check(scenario, proto)
    kappa = whole_number("kappa", kappa, least=1)
    best, distances = np.empty((0, scenario.n_devices), dtype=np.intp), np.empty(0)
    for placements in every_placement(scenario):
        distance = _distance(proto, placements)
        near = distance < distances[-1] if len(best) == kappa else np.full(len(distance), True)
        near[near] = feasible(scenario, state, placements[near])
        found, at = np.concatenate((best, placements[near])), np.concatenate((distances, distance[near]))
        order = np.argsort(at, kind="stable")[:kappa]
        best, distances = found[order], at[order]
    return best


def nearer(scenario: Scenario, proto: ProtoAction, placement: Ints) -> int:
    """How many placements, feasible or not, are nearer to a proto-action than a given one.

    Before the nearest feasible one is reached, even a look-up that need not try every placement but goes through them
    in the order of their distance has to refuse as many.

    Raises:
        SettingError: too many placements to try, or a proto-action that is not finite numbers.
    """
    _check(scenario, proto)
    limit = _distance(proto, placement[None])
    return sum(int((_distance(proto, tried) < limit).sum()) for tried in every_placement(scenario))


def every_placement(scenario: Scenario) -> Iterator[Ints]:
    """All (N+1)^U placements in their order, in parts of at most `CHUNK`, each (placements, n_devices)."""
    choices, n = scenario.n_bs + 1, scenario.n_devices
    place_value = choices ** np.arange(n)[::-1]
    for start in range(0, choices**n, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, choices**n))
        yield numbers[:, None] // place_value % choices - 1


def _distance(proto: ProtoAction, placements: Ints) -> Array:
    """A number that orders placements like the Euclidean distance of (x, y) to a proto-action, (placements,).

    It is half of what the squared distance exceeds that of discarding every task by: a task offloaded to BS k adds
    1 - x - y_k, see `mecsim.refinement.nearest_discrete`.
    """
    added = np.column_stack((np.zeros(len(proto.offload)), 1.0 - proto.offload[:, None] - proto.peer))
    return added[np.arange(len(added)), placements + 1].sum(axis=-1)


def _check(scenario: Scenario, proto: ProtoAction) -> None:
    choices, n = scenario.n_bs + 1, scenario.n_devices
    if choices**n > MOST:
        raise SettingError(
            f"devices = {scenario.devices} is not allowed: a look-up should try at most {MOST} placements, and these "
            f"have {choices}^{n}, about 10^{n * log10(choices):.0f}."
        )
    for name, shape in (("offload", (n,)), ("peer", (n, scenario.n_bs))):
        values = np.asarray(getattr(proto, name))
        if values.shape != shape or not np.isfinite(values).all():
            with_what = "" if values.shape != shape else " with a number that is not finite"
            raise SettingError(
                f"proto-action {name} of shape {values.shape}{with_what} is not allowed: it should be {shape} finite "
                "numbers."
            )
