"""DigitalTwin: a virtual replica of the system that learns from reports, simulates ahead and answers "what if"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mecsim.physics import Array
from mecsim.scenario import NonNegative, Positive, Scenario, ScenarioStack
from mecsim.settings import Changes, FrozenDict, SettingError, Settings, Whole
from mecsim.system import (
    Action,
    Draw,
    Outcome,
    PhysicalSystem,
    Streams,
    SystemState,
    check_shapes,
    in_worlds,
    outcome,
    with_rate,
)


class Deviation(Settings):
    """How a twin differs from its plant; the defaults are a perfect twin.

    Attributes:
        gain_bias, harvest_bias: factor on every estimate of h, and of e.
        gain_noise, harvest_noise: standard deviation of the log of a mean-one lognormal estimation error.
        update_every: slots between two updates of h, e and Q; in between h and e are held and Q follows (6).
        outdated: fields of the scenario in which the twin still believes, with their old values.
    """

    gain_bias: Positive = 1.0
    gain_noise: NonNegative = 0.0
    harvest_bias: Positive = 1.0
    harvest_noise: NonNegative = 0.0
    update_every: Whole = 1
    outdated: Changes = FrozenDict()


class Task(NamedTuple):
    """O_ij(t) of section III-A: the task that a device asks to offload."""

    size_bits: float
    density_cycles_per_bit: float
    deadline_s: float
    award: float


class DeviceModel(NamedTuple):
    """The digital model of an IoT device, eq. (1)."""

    power_w: float
    energy_j: float
    harvest_j: float
    task: Task


class BSModel(NamedTuple):
    """The digital model of a BS, section III-A: its devices' tasks, its links and its CPU."""

    tasks: list[Task]
    link_bps: Array
    cpu_hz: float


class DigitalTwin:
    """The twin of a collaborative MEC system, section III-A.

    It is built offline from a description of the plant. `step` simulates ahead in the virtual space: this is where
    INTO trains. `update` takes in what the plant reports, online. `what_if` predicts an action and changes nothing.

    Args:
        description: the scenario of the plant; or one for each of many worlds, see `PhysicalSystem`.
        seed: seed of the virtual space's streams, or one for each world; with the plant's seed and no deviation the
            twin equals the plant bit for bit.
        deviation: how the twin differs from the plant.
    """

    def __init__(
        self,
        description: Scenario | ScenarioStack | Sequence[Scenario],
        seed: int | Sequence[int] = 0,
        deviation: Deviation | None = None,
    ) -> None:
        self.deviation = Deviation.of(deviation)
        described, seed = in_worlds(description, seed)
        self.scenario = described.replace(**self.deviation.outdated)
        self._estimation = Streams(seed, "estimation")
        self._virtual = PhysicalSystem(self.scenario, seed, self._perceive)
        self._held = self._virtual.state

    @property
    def worlds(self) -> tuple[int, ...]:
        """(), or (how many worlds,)."""
        return self._virtual.worlds

    @property
    def state(self) -> SystemState:
        """The twin's estimate of the system at the start of the current slot."""
        return self._virtual.state

    def device(self, index: int) -> DeviceModel:
        """The digital model of one device, in a twin of one world."""
        state = self._one_world()
        return DeviceModel(
            state.power_w[index], state.energy_j[index], state.harvest_j[index], self._task(index)
        )

    def bs(self, index: int) -> BSModel:
        """The digital model of one BS, in a twin of one world."""
        self._one_world()
        served = self.scenario.devices_of[index]
        return BSModel(
            [self._task(int(j)) for j in served], self.state.link_bps[index], float(self.state.cpu_hz[index])
        )

    def channel_gain(self) -> Array:
        """The digital model of the radio environment: the estimated gain h of each device, (n_devices,)."""
        return self.state.gain

    def what_if(self, action: Action) -> Outcome:
        """The predicted outcome of an action in the current slot; changes nothing."""
        return outcome(self.scenario, self.state, action)

    def step(self, action: Action) -> Outcome:
        """Simulates the current slot under an action and moves on to a predicted next slot."""
        return self._virtual.step(action)

    def update(self, report: SystemState) -> None:
        """Takes in the plant's report at the start of a slot.

        Task requests, links and CPU are always taken over. Gains, harvests and queues are measured every
        `update_every` slots, gains and harvests with the twin's estimation error.

        Raises:
            SettingError: the report is of other devices, BSs or worlds than the twin.
        """
        check_shapes(self.scenario, report)
        if report.energy_j.shape != self.state.energy_j.shape:
            raise SettingError(
                f"report of shape {report.energy_j.shape} is not allowed: it should have the twin's, "
                f"{self.state.energy_j.shape}."
            )
        if report.slot % self.deviation.update_every:
            held = self._held
            known = replace(report, gain=held.gain, harvest_j=held.harvest_j, energy_j=self.state.energy_j)
        else:
            gain, harvest = self._estimate(report.gain, report.harvest_j)
            known = self._held = replace(report, gain=gain, harvest_j=harvest)
        self._virtual.state = with_rate(self.scenario, known, report.rate_bps)

    def restart(self, worlds: Sequence[int], seeds: Sequence[int]) -> None:
        """Starts some of many worlds anew, each from a seed; the others go on, and slots are counted on.

        Args:
            worlds: their numbers, each once.
            seeds: one for each of them.
        """
        scenario = self.scenario
        if isinstance(scenario, ScenarioStack):
            scenario = ScenarioStack([scenario.members[world] for world in worlds])
        fresh = DigitalTwin(scenario, seeds, self.deviation)
        self._estimation.restart(worlds, fresh._estimation)
        self._virtual.restart(worlds, fresh._virtual)
        self._held = self._held.with_worlds(worlds, fresh._held)

    def snapshot(self) -> dict[str, Any]:
        """Everything that the virtual space's future depends on, ready for JSON."""
        return {
            "virtual": self._virtual.snapshot(),
            "estimation": self._estimation.snapshot(),
            "held": [self._held.gain.tolist(), self._held.harvest_j.tolist()],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot of a twin with the same description, seed and deviation."""
        self._virtual.restore(snapshot["virtual"])
        self._estimation.restore(snapshot["estimation"])
        gain, harvest = map(np.array, snapshot["held"])
        self._held = replace(self._virtual.state, gain=gain, harvest_j=harvest)

    def _one_world(self) -> SystemState:
        if self.worlds:
            raise SettingError(
                f"worlds = {self.worlds[0]} is not allowed: a digital model is that of a twin of one world."
            )
        return self.state

    def _task(self, index: int) -> Task:
        return Task(*(getattr(self.state, field)[index] for field in Task._fields))

    def _perceive(self, draw: Draw) -> Draw:
        gain, harvest = self._estimate(draw.gain, draw.harvest_j)
        return draw._replace(gain=gain, harvest_j=harvest)

    def _estimate(self, gain: Array, harvest_j: Array) -> tuple[Array, Array]:
        deviation = self.deviation
        return (
            gain * (deviation.gain_bias * self._error(deviation.gain_noise)),
            harvest_j * (deviation.harvest_bias * self._error(deviation.harvest_noise)),
        )

    def _error(self, noise: float) -> Array | float:
        if noise == 0.0:
            return 1.0
        normal = self._estimation.draw("standard_normal", self.scenario.n_devices)
        return np.exp(noise * normal - noise**2 / 2)
