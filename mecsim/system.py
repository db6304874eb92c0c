"""The plant, one world or many: what is known of a slot, where chance comes in, what an action does, and what follows.

Device arrays have the shape (n_devices,) in one world and (worlds, n_devices) in many, by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mecsim import physics
from mecsim.physics import Array, Bools, Ints
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.settings import SettingError, whole_number


@dataclass(frozen=True, eq=False)
class SystemState:
    """The system at the start of slot t: tasks, channels, energy and resources (sections III-A and III-B).

    Device arrays have shape (n_devices,), or (worlds, n_devices); F (n_bs,) and C (n_bs, n_bs) have an axis of worlds
    only where worlds differ in them.
    """

    slot: int
    size_bits: Array
    density_cycles_per_bit: Array
    deadline_s: Array
    award: Array
    power_w: Array
    gain: Array
    harvest_j: Array
    energy_j: Array
    rate_bps: Array
    cpu_hz: Array
    link_bps: Array

    @property
    def received_w(self) -> Array:
        """p h, the power that the serving BS receives from each device, in W."""
        return self.power_w * self.gain

    @property
    def cycles(self) -> Array:
        """z v, the CPU cycles of each task."""
        return self.size_bits * self.density_cycles_per_bit

    def with_worlds(self, worlds: Sequence[int], fresh: SystemState) -> SystemState:
        """The state of many worlds in which some are those of another state; the slot stays."""
        mixed = {
            name: _with_rows(value, worlds, getattr(fresh, name))
            for name, value in vars(self).items()
            if name not in ("slot", "cpu_hz", "link_bps")
        }
        return replace(self, **mixed)

    def world(self, number: int) -> SystemState:
        """The state of one of many worlds."""
        several = {
            name: value[number]
            for name, value in vars(self).items()
            if name != "slot" and value.ndim > (2 if name == "link_bps" else 1)
        }
        return replace(self, **several)


def check_shapes(
    scenario: Scenario | ScenarioStack, state: SystemState, **given: NDArray[Any] | None
) -> None:
    """Refuses a state, or arrays of an action, of other devices or BSs than the scenario has.

    Args:
        scenario: parameters of the system.
        state: what is known of its slot.
        given: arrays by name, (..., n_devices), or (..., n_devices, n_bs) where the name is in `BY_BS`; None is none.

    Raises:
        SettingError: a shape is wrong; the message names what is wanted.
    """
    n_bs, known = len(scenario.devices), state.energy_j.shape
    n, lead = scenario.cell.size, known[:-1]
    if known != (*lead, n) or state.cpu_hz.shape[-1:] != (n_bs,):
        raise SettingError(
            f"state of devices {known} and BSs {state.cpu_hz.shape} is not allowed: it should be one of {n} devices "
            f"and {n_bs} BSs, as devices = {scenario.devices}."
        )
    for name, array in given.items():
        wanted = (n, n_bs) if name in BY_BS else (n,)
        if array is None:
            continue
        if not isinstance(array, np.ndarray):
            raise SettingError(
                f"{name} of type {type(array).__name__} is not allowed: it should be an array, {(*lead, *wanted)}."
            )
        if array.shape == (*lead, *wanted):
            continue
        own_lead = array.shape[: -len(wanted)]
        if array.shape != (*own_lead, *wanted) or not _broadcast(own_lead, lead):
            raise SettingError(
                f"{name} of shape {array.shape} is not allowed: it should have the shape {(*lead, *wanted)}, as "
                f"devices = {scenario.devices}."
            )


BY_BS = {"peer", "cpu_share", "order"}


def _broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(one, other)
    except ValueError:
        return False
    return True


def check_placement(scenario: Scenario | ScenarioStack, placement: Ints) -> None:
    """Refuses a placement that names a BS which is not there.

    Raises:
        SettingError: it is not of whole numbers up to that of the last BS.
    """
    n_bs, whole = len(scenario.devices), placement.dtype.kind in "iu"
    if whole and (not placement.size or (placement.max() < n_bs and placement.min() >= -1)):
        return
    wrong = (
        placement[(placement < -1) | (placement >= n_bs)][0] if whole else f"values of type {placement.dtype}"
    )
    raise SettingError(
        f"placement with {wrong} is not allowed: it should hold whole numbers, the BS of a task (0..{n_bs - 1}) or -1."
    )


@dataclass(frozen=True, eq=False)
class Action:
    """A decision a(t) = (x, y, f) that satisfies C1-C3 by construction.

    Attributes:
        placement: BS that computes each task, -1 where the task is discarded, (..., n_devices).
        cpu_hz: CPU that this BS gives to the task, (..., n_devices), in Hz.
    """

    placement: Ints
    cpu_hz: Array

    @property
    def offload(self) -> Bools:
        """x of eq. (12), C1: which tasks are offloaded, (..., n_devices)."""
        return self.placement >= 0

    def peer(self, n_bs: int) -> NDArray[np.bool_]:
        """y of eq. (7) as one-hot rows, (..., n_devices, n_bs); a row of zeros where the task is discarded."""
        return self.placement[..., None] == np.arange(n_bs)

    def allocated_hz(self, n_bs: int) -> Array:
        """f of eq. (9), (..., n_devices, n_bs), in Hz: 0 wherever y is 0."""
        return np.where(self.peer(n_bs), self.cpu_hz[..., None], 0.0)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an action does in one slot; device arrays (..., n_devices), with an axis of worlds where there are many.

    Attributes:
        income: r(t), eq. (11), a number, or (worlds,).
        completed: tasks that are paid.
        powered: tasks whose device had the energy to send them, (5); True where nothing is sent.
        uplink_s, link_s, compute_s: the delays d^w, d^c and d^m of eqs. (4), (8), (9).
        rate_bps: uplink rates under the interference of this action, eqs. (2) and (3).
        spent_j: energy taken from the queue.
        cpu_used_hz: CPU in use at each BS, (..., n_bs).
    """

    income: float | Array
    completed: Bools
    powered: Bools
    uplink_s: Array
    link_s: Array
    compute_s: Array
    rate_bps: Array
    spent_j: Array
    cpu_used_hz: Array

    @property
    def delay_s(self) -> Array:
        """d_ij = d^w + d^c + d^m, in s; 0 where nothing is offloaded."""
        return self.uplink_s + self.link_s + self.compute_s


STREAMS = (
    "devices",
    "tasks",
    "channel",
    "harvest",
    "exploration",
    "batches",
    "networks",
    "estimation",
)
"""Random streams spawned apart by name, so that every algorithm meets the same world."""


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one named stream of a seed; streams of one seed are independent of each other.

    Raises:
        SettingError: `seed` is no whole number or negative, or no stream has that name.
    """
    seed = whole_number("seed", seed)
    if name not in STREAMS:
        raise SettingError(f"stream = {name!r} is not allowed: it should be one of {', '.join(STREAMS)}.")
    sequence = np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name),))
    return np.random.Generator(np.random.PCG64(sequence))


class Streams:
    """One named stream of a seed, or those of many seeds side by side: each gives what it would give alone."""

    def __init__(self, seed: int | Sequence[int], name: str) -> None:
        self._many = isinstance(seed, Sequence)
        self._generators = [stream(one, name) for one in (seed if isinstance(seed, Sequence) else (seed,))]

    def draw(self, law: Literal["random", "standard_exponential", "standard_normal"], *shape: int) -> Array:
        """Numbers by a law of `numpy.random.Generator`, (*shape,), or (seeds, *shape)."""
        drawn = np.empty((len(self._generators), *shape))
        for generator, row in zip(self._generators, drawn, strict=True):
            getattr(generator, law)(out=row)
        return drawn if self._many else drawn[0]

    def each(self, draw: Callable[[np.random.Generator], NDArray[Any]]) -> NDArray[Any]:
        """What `draw` takes from the stream, or from that of each seed, with an axis of seeds in front."""
        drawn = [draw(generator) for generator in self._generators]
        return np.stack(drawn) if self._many else drawn[0]

    def restart(self, worlds: Sequence[int], fresh: Streams) -> None:
        """Lets some of many go on as others."""
        for world, generator in zip(worlds, fresh._generators, strict=True):
            self._generators[world] = generator

    def snapshot(self) -> Any:
        """The position of the stream, or of each, ready for JSON."""
        states = [dict(generator.bit_generator.state) for generator in self._generators]
        return states if self._many else states[0]

    def restore(self, snapshot: Any) -> None:
        """Goes back to a snapshot of the same seed or seeds."""
        states = snapshot if self._many else [snapshot]
        for generator, state in zip(self._generators, states, strict=True):
            generator.bit_generator.state = state


class Draw(NamedTuple):
    """What one slot brings to each device, device arrays."""

    size_bits: Array
    density_cycles_per_bit: Array
    deadline_s: Array
    award: Array
    power_w: Array
    gain: Array
    harvest_j: Array


class Sources:
    """The random processes of section V: tasks, channels and harvests, each from a stream of its own.

    The numbers drawn do not depend on any range or scale of the scenario, so that two scenarios of the same devices
    meet the same luck (common random numbers).
    """

    def __init__(
        self,
        scenario: Scenario | ScenarioStack,
        seed: int | Sequence[int],
        device_seed: int | Sequence[int] | None = None,
    ) -> None:
        self.scenario = scenario
        self._streams = {name: Streams(seed, name) for name in ("tasks", "channel", "harvest")}
        self._streams["devices"] = Streams(seed if device_seed is None else device_seed, "devices")
        self._mean_gain = self._draw_mean_gain()
        self._power_w = _uniform(self._draw("devices", "random"), scenario.power_w)
        self._fade: NDArray[np.complex128] | None = None
        names = ("size", "density", "deadline", "award", "gain", "harvest")
        self._scale = {name: scenario.per_device(f"{name}_scale") for name in names}

    def draw(self) -> Draw:
        """The draws of the next slot."""
        scenario, scale = self.scenario, self._scale
        size, density, deadline, award = self._draw("tasks", "random", 4)
        harvest = self._draw("harvest", "random")
        if scenario.power_drawn == "each slot":
            self._power_w = _uniform(self._draw("devices", "random"), scenario.power_w)
        low = scenario.deadline_s[0] * scale["deadline"]
        return Draw(
            size_bits=_uniform(size, scenario.size_bits) * scale["size"],
            density_cycles_per_bit=_uniform(density, scenario.density_cycles_per_bit) * scale["density"],
            deadline_s=low + (scenario.deadline_s[1] - low) * deadline,
            award=_uniform(award, scenario.award) * scale["award"],
            power_w=self._power_w,
            gain=self._mean_gain * self._draw_fade(harvest.shape) * scale["gain"],
            harvest_j=_uniform(harvest, scenario.harvest_w) * scenario.slot_harvest_s * scale["harvest"],
        )

    def restart(self, worlds: Sequence[int], fresh: Sources) -> None:
        """Lets some of many worlds go on as others, which have the same scenarios."""
        for name, streams in self._streams.items():
            streams.restart(worlds, fresh._streams[name])
        self._power_w = _with_rows(self._power_w, worlds, fresh._power_w)
        if self._fade is not None:
            self._fade = _with_rows(self._fade, worlds, fresh._fade)
        if self.scenario.fading == "path_loss":
            self._mean_gain = _with_rows(self._mean_gain, worlds, fresh._mean_gain)

    def snapshot(self) -> dict[str, Any]:
        """Everything that later draws depend on, ready for JSON."""
        found = {
            "streams": {name: streams.snapshot() for name, streams in self._streams.items()},
            "power_w": self._power_w.tolist(),
            "fade": None if self._fade is None else [self._fade.real.tolist(), self._fade.imag.tolist()],
        }
        if self.scenario.fading == "path_loss":
            found["mean_gain"] = np.asarray(self._mean_gain).tolist()
        return found

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot of sources with the same scenario and seed."""
        for name, streams in self._streams.items():
            streams.restore(snapshot["streams"][name])
        self._power_w = np.array(snapshot["power_w"])
        fade = snapshot["fade"]
        self._fade = None if fade is None else np.array(fade[0]) + 1j * np.array(fade[1])
        if "mean_gain" in snapshot:
            self._mean_gain = np.array(snapshot["mean_gain"])

    def _draw(self, name: str, law: Any, *kinds: int) -> Array:
        """Numbers for every device, (*kinds, ..., n_devices)."""
        drawn = self._streams[name].draw(law, *kinds, self.scenario.n_devices)
        return drawn.swapaxes(0, -2) if kinds else drawn

    def _draw_mean_gain(self) -> Array | float:
        """Mean gain of each device; with path loss, at a place drawn uniformly over its cell (A2)."""
        scenario = self.scenario
        if scenario.fading != "path_loss":
            return scenario.mean_gain
        nearest = 0.05
        distance = np.sqrt(nearest**2 + (1 - nearest**2) * self._draw("devices", "random"))
        return scenario.mean_gain * distance**-scenario.path_loss_exponent

    def _draw_fade(self, shape: tuple[int, ...]) -> Array:
        """Fading of mean 1: none, Exp(1) anew each slot, or Exp(1) from an AR(1) complex Gaussian (A2)."""
        if self.scenario.fading == "constant":
            return np.ones(shape)
        if self.scenario.fading != "ar1":
            return self._draw("channel", "standard_exponential")
        real, imag = self._draw("channel", "standard_normal", 2) * np.sqrt(0.5)
        fade, memory = real + 1j * imag, self.scenario.fading_memory
        if self._fade is not None:
            fade = memory * self._fade + np.sqrt(1 - memory**2) * fade
        self._fade = fade
        return np.abs(fade) ** 2


def _with_rows(array: Any, rows: Sequence[int], values: Any) -> Any:
    """A copy of an array with some rows replaced."""
    copy = array.copy()
    copy[list(rows)] = values
    return copy


def _uniform(unit: Array, ends: tuple[float, float]) -> Array:
    return ends[0] + (ends[1] - ends[0]) * unit


class Uplink(NamedTuple):
    """The radio side of a choice of transmitters, device arrays."""

    rate_bps: Array
    delay_s: Array
    energy_j: Array


def uplink(scenario: Scenario | ScenarioStack, state: SystemState, offload: Bools) -> Uplink:
    """Rates, delays and energies when the devices in `offload` transmit, eqs. (2)-(5).

    Raises:
        SettingError: `state` or `offload` is not of the scenario's devices.
    """
    check_shapes(scenario, state, offload=offload)
    received = state.received_w
    heard = physics.interference_w(offload, received, scenario.cell, scenario.n_bs, scenario.interference)
    rate = physics.uplink_rate_bps(received, heard, scenario.device_bandwidth_hz, scenario.noise_w_per_hz)
    delay = physics.uplink_delay_s(state.size_bits, offload, rate)
    return Uplink(rate, delay, physics.uplink_energy_j(state.power_w, delay))


def outcome(scenario: Scenario | ScenarioStack, state: SystemState, action: Action) -> Outcome:
    """The outcome of an action, feasible or not, in a known state, or of many in as many states (leading axes).

    Algorithm 1 keeps an action within (5) and (10), so that the two rules below act only where a decision was made
    on a wrong estimate (A23): a device without the energy for its transmission (5) spends what it has and its task is
    lost; a BS that has promised more CPU than it has (10) cuts every share in the same proportion.

    Raises:
        SettingError: the state or the action is not of the scenario's devices and BSs.
    """
    check_shapes(scenario, state, placement=action.placement, cpu_hz=action.cpu_hz)
    check_placement(scenario, action.placement)
    if action.cpu_hz.size and not action.cpu_hz.min() >= 0:  # a NaN is not
        raise SettingError(
            f"cpu_hz with {action.cpu_hz.min()} is not allowed: it should hold 0 or more, in Hz."
        )
    offload = action.offload
    radio = uplink(scenario, state, offload)
    powered = physics.affordable(radio.energy_j, state.energy_j)
    link = physics.link_delay_s(state.size_bits, action.placement, scenario.cell, state.link_bps)
    used = physics.cpu_used_hz(action.placement, action.cpu_hz, scenario.n_bs)
    cut = np.minimum(1.0, np.divide(state.cpu_hz, used, out=np.ones_like(used), where=used > 0))
    granted = action.cpu_hz * physics.at_bs(cut, action.placement)
    compute = physics.compute_delay_s(state.cycles, offload, granted)
    completed = offload & powered & physics.on_time(radio.delay_s + link + compute, state.deadline_s)
    return Outcome(
        income=physics.income(state.award, completed),
        completed=completed,
        powered=powered,
        uplink_s=radio.delay_s,
        link_s=link,
        compute_s=compute,
        rate_bps=radio.rate_bps,
        spent_j=np.minimum(radio.energy_j, state.energy_j),
        cpu_used_hz=used * cut,
    )


def least_cpu_hz(scenario: Scenario | ScenarioStack, state: SystemState, placement: Ints) -> Array:
    """l of (18) of the tasks placed, 0 for those discarded, (..., n_devices), in Hz."""
    check_placement(scenario, placement)
    offload = placement >= 0
    uplink_s = uplink(scenario, state, offload).delay_s
    link_s = physics.link_delay_s(state.size_bits, placement, scenario.cell, state.link_bps)
    slack_s = physics.slack_s(state.deadline_s, uplink_s, link_s)
    return np.where(offload, physics.required_cpu_hz(state.cycles, slack_s), 0.0)


def feasible(scenario: Scenario | ScenarioStack, state: SystemState, placement: Ints) -> Bools:
    """Which placements satisfy (5), (10) and C4 when every task is given l of (18), (..., n_devices) -> (...).

    A task that cannot meet its deadline needs an infinite l, so that no placement with one is feasible.
    """
    needed_j = uplink(scenario, state, placement >= 0).energy_j
    used_hz = physics.cpu_used_hz(placement, least_cpu_hz(scenario, state, placement), scenario.n_bs)
    powered = np.all(physics.affordable(needed_j, state.energy_j), axis=-1)
    return powered & np.all(used_hz <= state.cpu_hz, axis=-1)


class PhysicalSystem:
    """The collaborative MEC system of section III-A, slot by slot: one world, or many that are stepped at once.

    The world of a seed goes the same way, bit for bit, alone and among others.

    Args:
        scenario: its parameters; or one scenario for each world, which may differ in numbers alone.
        seed: seed of its streams (devices, tasks, channel, harvest), 0 or more; or one for each world.
        perceive: how each slot's draws are seen; a twin puts its estimation errors here.
        device_seed: seed of the stream "devices" (p, and with path loss the places), where it is not `seed`.

    Attributes:
        state: the system at the start of the current slot.
        worlds: (), or (how many worlds,).

    Raises:
        SettingError: there is no world, or the numbers of scenarios and seeds differ.
    """

    def __init__(
        self,
        scenario: Scenario | ScenarioStack | Sequence[Scenario],
        seed: int | Sequence[int] = 0,
        perceive: Callable[[Draw], Draw] | None = None,
        device_seed: int | Sequence[int] | None = None,
    ) -> None:
        self.scenario, seed = in_worlds(scenario, seed)
        self.worlds = () if isinstance(seed, int) else (len(seed),)
        if device_seed is not None:
            if np.shape(device_seed) != self.worlds:
                raise SettingError(
                    f"device_seed = {device_seed!r} is not allowed: there should be as many as seeds, seed = {seed!r}."
                )
            for one in np.ravel(device_seed):
                whole_number("device_seed", one)
        self._sources = Sources(self.scenario, seed, device_seed)
        self._perceive = perceive
        stored = np.minimum(self.scenario.initial_energy_j, self.scenario.battery_j)
        energy = np.full((*self.worlds, self.scenario.n_devices), stored)
        self.state = self._arrive(0, energy, last_rate_bps=None)

    def step(self, action: Action) -> Outcome:
        """Carries out an action in each world, moves every queue by (6) and lets the next slot begin.

        Raises:
            SettingError: the action is not one for each device of each world.
        """
        given, wanted = np.shape(action.placement), self.state.energy_j.shape
        if given != wanted:
            raise SettingError(
                f"placement of shape {given} is not allowed: it should have the shape {wanted}."
            )
        result = outcome(self.scenario, self.state, action)
        energy = physics.next_energy_j(
            self.state.energy_j, self.state.harvest_j, result.spent_j, self.scenario.battery_j
        )
        self.state = self._arrive(self.state.slot + 1, energy, result.rate_bps)
        return result

    def restart(self, worlds: Sequence[int], fresh: PhysicalSystem) -> None:
        """Lets some of many worlds go on as others, which have the same scenarios; slots are counted on."""
        self._sources.restart(worlds, fresh._sources)
        self.state = self.state.with_worlds(worlds, fresh.state)

    def snapshot(self) -> dict[str, Any]:
        """Everything that the future depends on, ready for JSON."""
        arrays = {name: value.tolist() for name, value in vars(self.state).items() if name != "slot"}
        return {"slot": self.state.slot, "arrays": arrays, "sources": self._sources.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot of a system with the same scenario and seed.

        Raises:
            SettingError: it is that of other devices or BSs.
        """
        arrays = {name: np.array(value) for name, value in snapshot["arrays"].items()}
        state = SystemState(slot=snapshot["slot"], **arrays)
        check_shapes(self.scenario, state)
        self.state = state
        self._sources.restore(snapshot["sources"])

    def _arrive(self, slot: int, energy_j: Array, last_rate_bps: Array | None) -> SystemState:
        scenario, draw = self.scenario, self._sources.draw()
        if self._perceive is not None:
            draw = self._perceive(draw)
        state = SystemState(
            slot=slot,
            **draw._asdict(),
            energy_j=energy_j,
            rate_bps=np.zeros_like(energy_j),
            cpu_hz=scenario.per_bs("cpu_hz"),
            link_bps=scenario.link_rates_bps,
        )
        return with_rate(scenario, state, last_rate_bps)


def in_worlds(
    scenario: Scenario | ScenarioStack | Sequence[Scenario], seed: int | Sequence[int]
) -> tuple[Scenario | ScenarioStack, int | list[int]]:
    """One scenario and seed of one world; or one of many, with one seed for each.

    Raises:
        SettingError: there is no world, the numbers of scenarios and seeds differ, or something is neither.
    """
    if not isinstance(scenario, Scenario | ScenarioStack):
        many = isinstance(scenario, Sequence) and not isinstance(scenario, str)
        scenario = ScenarioStack(scenario) if many else Scenario.of(scenario)
    if isinstance(seed, str) or not isinstance(seed, Iterable):
        one = whole_number("seed", seed)
        return scenario, [one] * len(scenario.members) if isinstance(scenario, ScenarioStack) else one
    seeds = [whole_number("seed", one) for one in seed]
    if not seeds:
        raise SettingError("seed = [] is not allowed: there should be at least one world.")
    if isinstance(scenario, ScenarioStack) and len(scenario.members) != len(seeds):
        raise SettingError(
            f"seed = {seeds} is not allowed: there should be one for each of the {len(scenario.members)} scenarios."
        )
    return scenario, seeds


def with_rate(
    scenario: Scenario | ScenarioStack, state: SystemState, last_rate_bps: Array | None
) -> SystemState:
    """The state with its rate nu, which (3) makes depend on an action not yet taken (A7)."""
    if scenario.state_rate == "last-slot" and last_rate_bps is not None:
        rate = last_rate_bps
    elif scenario.state_rate == "all-transmit":
        rate = uplink(scenario, state, np.full(scenario.n_devices, True)).rate_bps
    else:
        bandwidth, noise = scenario.device_bandwidth_hz, scenario.noise_w_per_hz
        rate = physics.uplink_rate_bps(state.received_w, 0.0, bandwidth, noise)
    return replace(state, rate_bps=rate)
