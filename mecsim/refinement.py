"""Algorithm 1: the fast action refinement, from the actor's output to a valid action.

Line 1 is `nearest_discrete`, line 2 `keep_affordable`, lines 3-8 `fit_capacity`; `refine` runs all of them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from mecsim import physics
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.settings import Settings
from mecsim.system import Action, SystemState, check_placement, check_shapes, uplink


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
        one_shot_cpu: under `one-shot`, is l of a kept task that of before the removals, as its priority is, or that of
            after them (A42)?
    """

    reading: Literal["reassess", "one-shot"] = "reassess"
    hopeless: Literal["worst slack", "lowest index"] = "worst slack"
    cpu: Literal["least", "pro rata", "actor"] = "least"
    energy: Literal["at once", "one by one", "off"] = "at once"
    stations: Literal["by index", "last first"] = "by index"
    one_shot_cpu: Literal["before", "after"] = "before"

    def visits(self, n_bs: int) -> range:
        """The BSs in the order of line 3."""
        return range(n_bs) if self.stations == "by index" else range(n_bs)[::-1]


class ProtoAction(NamedTuple):
    """An action as an actor network puts it out, before it is valid; of many worlds with an axis of them in front.

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

    For one task the distance to "discard" is `|x|^2 + |y|^2`, that to "offload to BS k" is smaller by
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
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
) -> Ints:
    """Discards every task whose device lacks the energy to send it, eqs. (16) and (17).

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot.
        placement: a discrete action that satisfies C1-C3, (..., n_devices).
        settings: what the paper leaves open; of these, `energy` counts here (A22).
    """
    settings = Refinement.of(settings)
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


def _worst(scenario: Scenario | ScenarioStack, lack_j: Array, lacking: Bools) -> Bools:
    """The device of each cell that lacks most energy, of those that lack any, (..., n_devices)."""
    worst = np.zeros_like(lacking)
    for cell in scenario.devices_of:
        first = np.where(lacking[..., cell], lack_j[..., cell], -np.inf).argmax(axis=-1)[..., None]
        np.put_along_axis(worst[..., cell[0] : cell[-1] + 1], first, True, axis=-1)
    return worst & lacking


class Discards(NamedTuple):
    """What lines 3-8 discard, and in which order; device arrays (..., n_devices).

    Attributes:
        kept: the BS of each task, -1 where it is discarded.
        order: of a task that lines 3-8 discard, the number of its removal, from 0; else -1.
        key: of such a task what line 6 went by, the priority varrho in 1/Hz, or a number <= 0 for a task that could not
            meet its deadline; else any number.
        need_hz: of such a task what it counted in (10), infinite if it could not meet its deadline; else any number.
        left_s: delta - d^c of every task on offer, what is left for the uplink and computing.
    """

    kept: Ints
    order: Ints
    key: Array
    need_hz: Array
    left_s: Array


def discards(
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
    shielded: Bools | None = None,
) -> Discards:
    """The tasks that lines 3-8 discard; see `fit_capacity`."""
    settings = Refinement.of(settings)
    one_shot = settings.reading == "one-shot"
    return _discards(scenario, state, placement, settings, cpu_share, shielded, state.cpu_hz, one_shot)


def standing(
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
) -> tuple[Array, Array]:
    """What line 6 sees of the tasks of a placement before any removal: key and need_hz, see `Discards`."""
    boundless = np.full_like(state.cpu_hz, np.inf)
    found = _discards(
        scenario, state, placement, Refinement.of(settings), cpu_share, None, boundless, one_shot=True
    )
    return found.key, found.need_hz


def _discards(
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    placement: Ints,
    settings: Refinement,
    cpu_share: Array | None,
    shielded: Bools | None,
    capacity_hz: Array,
    one_shot: bool,
) -> Discards:
    """Has the kernel run lines 3-8 on states side by side; it looks at no bounds, so that they are looked at here."""
    check_shapes(scenario, state, placement=placement, cpu_share=cpu_share, shielded=shielded)
    check_placement(scenario, placement)
    shape = np.broadcast_shapes(np.shape(placement), state.energy_j.shape)
    kept = np.array(np.broadcast_to(placement, shape), dtype=np.int64, order="C")
    lead, n, n_bs = kept.shape[:-1], scenario.n_devices, scenario.n_bs
    tasks, stations = np.empty((*kept.shape, 6)), np.empty((*lead, n_bs, 3))
    left_s, bandwidth = _left_s(scenario, state, kept), scenario.per_bs("bandwidth_hz")
    columns = (
        state.received_w,
        state.size_bits,
        state.cycles,
        state.award,
        left_s,
        np.inf if settings.cpu != "actor" else _asked_hz(state, kept, cpu_share),
    )
    for number, column in enumerate(columns):
        tasks[..., number] = column
    for number, column in enumerate((capacity_hz, bandwidth, bandwidth * scenario.noise_w_per_hz)):
        stations[..., number] = column
    tier = np.zeros(kept.shape, np.int8)
    if shielded is not None:
        tier[...] = shielded
    found = Discards(kept, np.full_like(kept, -1), np.empty(kept.shape), np.empty(kept.shape), left_s)
    kept, order, key, need = (array.reshape(-1, n) for array in found[:4])
    from mecsim import kernel  # Numba is loaded when Algorithm 1 is first run

    kernel.fit(
        kept,
        tier.reshape(-1, n),
        scenario.cell.astype(np.int64),
        np.append(0, np.cumsum(scenario.devices)),
        tasks.reshape(-1, n, 6),
        stations.reshape(-1, n_bs, 3),
        np.array(np.broadcast_to(scenario.interference, (*lead, 1)), dtype=float).ravel(),
        np.array(settings.visits(n_bs)),
        one_shot,
        settings.hopeless == "lowest index",
        order,
        key,
        need,
    )
    return found


def fit_capacity(
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
    shielded: Bools | None = None,
) -> Action:
    """Discards tasks of the lowest processing priority until every BS satisfies (10), lines 3-8.

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot, or of many slots.
        placement: a discrete action that satisfies C1-C3 and (5), (..., n_devices).
        settings: what the paper leaves open.
        cpu_share: f as a share of each BS's CPU, (..., n_devices, n_bs); needed where `settings.cpu` is "actor".
        shielded: tasks that a BS discards only after all its others, (..., n_devices).

    Returns:
        A valid action; every task it keeps meets its deadline.

    Raises:
        SettingError: the state or the action is not of the scenario's devices and BSs.
    """
    settings = Refinement.of(settings)
    found = discards(scenario, state, placement, settings, cpu_share, shielded)
    before = settings.reading == "one-shot" and settings.one_shot_cpu == "before"
    sending = (placement if before else found.kept) >= 0
    return Action(found.kept, _granted_hz(scenario, state, found, sending, settings, cpu_share))


def refine(
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    proto: ProtoAction,
    settings: Refinement | None = None,
) -> Action:
    """Algorithm 1: the valid action that an actor's output stands for.

    Raises:
        SettingError: the state or the proto-action is not of the scenario's devices and BSs.
        ValueError: the proto-action holds a NaN.
    """
    check_shapes(scenario, state, **proto._asdict())
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
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    placement: Ints,
    settings: Refinement | None = None,
    cpu_share: Array | None = None,
    shielded: Bools | None = None,
) -> Action:
    """Lines 2-8 of Algorithm 1, for an action that is discrete already; see `fit_capacity`.

    Raises:
        SettingError: the state or the action is not of the scenario's devices and BSs.
    """
    powered = keep_affordable(scenario, state, placement, settings)
    return fit_capacity(scenario, state, powered, settings, cpu_share, shielded)


def _left_s(scenario: Scenario | ScenarioStack, state: SystemState, placement: Ints) -> Array:
    """delta - d^c, what is left for the uplink and computing, (..., n_devices), in s."""
    return state.deadline_s - physics.link_delay_s(state.size_bits, placement, scenario.cell, state.link_bps)


def _asked_hz(state: SystemState, placement: Ints, cpu_share: Array | None) -> Array:
    """CPU that an actor asks for its tasks, within C4, (..., n_devices), in Hz.

    Raises:
        ValueError: there is no `cpu_share`.
    """
    if cpu_share is None:
        raise ValueError("cpu_share is missing: Refinement.cpu = 'actor' needs the actor's f.")
    share = np.take_along_axis(cpu_share, np.maximum(placement, 0)[..., None], axis=-1)[..., 0]
    return np.clip(share, 0.0, 1.0) * physics.at_bs(state.cpu_hz, placement)


def _granted_hz(
    scenario: Scenario | ScenarioStack,
    state: SystemState,
    found: Discards,
    sending: Bools,
    settings: Refinement,
    cpu_share: Array | None,
) -> Array:
    """f of the tasks kept (A10), 0 for the others, (..., n_devices), in Hz; l under the interference of `sending`."""
    kept = found.kept
    if settings.cpu == "actor":
        return np.where(kept >= 0, _asked_hz(state, kept, cpu_share), 0.0)
    slack = found.left_s - uplink(scenario, state, sending).delay_s
    granted = np.where(kept >= 0, physics.required_cpu_hz(state.cycles, slack), 0.0)
    if settings.cpu == "least":
        return granted
    used = physics.cpu_used_hz(kept, granted, scenario.n_bs)
    rest = np.divide(state.cpu_hz, used, out=np.ones_like(used), where=used > 0)
    return granted * physics.at_bs(rest, kept)


def ensure_compiled() -> None:
    """Compiles lines 3-8 where that has not been done yet, so that processes started next find the code on disk."""
    from mecsim import kernel  # noqa: F401
