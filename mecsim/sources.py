"""The random processes of section V: tasks, channels and harvests, each from a stream of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.streams import generator_state, restore_generator, stream

STREAMS = ("devices", "tasks", "channel", "harvest")
"""The streams that a system draws from."""


class Draw(NamedTuple):
    """What one slot brings to each device, arrays of shape (n_devices,), or (n_twins, n_devices) for a fleet."""

    size_bits: Array
    density_cycles_per_bit: Array
    deadline_s: Array
    award: Array
    power_w: Array
    gain: Array
    harvest_j: Array


class Chorus:
    """One stream of many seeds: what each generator would give alone, stacked over a first axis."""

    def __init__(self, seeds: Sequence[int], name: str) -> None:
        self._generators = [stream(seed, name) for seed in seeds]

    def random(self, shape: int | tuple[int, ...]) -> Array:
        """Uniform numbers in [0, 1), (n_seeds, *shape)."""
        return self._stack("random", shape)

    def standard_exponential(self, shape: int | tuple[int, ...]) -> Array:
        """Exponential numbers of mean 1, (n_seeds, *shape)."""
        return self._stack("standard_exponential", shape)

    def standard_normal(self, shape: int | tuple[int, ...]) -> Array:
        """Normal numbers of mean 0 and variance 1, (n_seeds, *shape)."""
        return self._stack("standard_normal", shape)

    def _stack(self, law: str, shape: int | tuple[int, ...]) -> Array:
        drawn = np.empty((len(self._generators), *np.atleast_1d(shape)))
        for generator, row in zip(self._generators, drawn, strict=True):
            getattr(generator, law)(out=row)
        return drawn


class Processes:
    """The tasks, powers, channel gains and harvests of successive slots, drawn from given streams.

    The numbers drawn do not depend on any range or scale of the scenario, so that two scenarios of the same devices
    meet the same luck (common random numbers).
    """

    def __init__(self, scenario: Scenario, streams: Mapping[str, np.random.Generator | Chorus]) -> None:
        self.scenario = scenario
        self._streams = streams
        devices = streams["devices"]
        self._mean_gain = self._draw_mean_gain(devices)
        self._power_w = _uniform(devices.random(scenario.n_devices), scenario.power_w)
        self._fade: Array | None = None
        names = ("size", "density", "deadline", "award", "gain", "harvest")
        self._scale = {name: scenario.per_device(f"{name}_scale") for name in names}

    def draw(self) -> Draw:
        """The draws of the next slot."""
        scenario, scale, n = self.scenario, self._scale, self.scenario.n_devices
        size, density, deadline, award = self._streams["tasks"].random((4, n)).swapaxes(0, -2)
        harvest = self._streams["harvest"].random(n)
        if scenario.power_drawn == "each slot":
            self._power_w = _uniform(self._streams["devices"].random(n), scenario.power_w)
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

    def _draw_mean_gain(self, devices: np.random.Generator | Chorus) -> Array | float:
        """Mean gain of each device; with path loss, at a place drawn uniformly over its cell (A2)."""
        scenario = self.scenario
        if scenario.fading != "path_loss":
            return scenario.mean_gain
        nearest = 0.05
        distance = np.sqrt(nearest**2 + (1 - nearest**2) * devices.random(scenario.n_devices))
        return scenario.mean_gain * distance**-scenario.path_loss_exponent

    def _draw_fade(self, shape: tuple[int, ...]) -> Array:
        """Fading of mean 1: none, Exp(1) anew each slot, or Exp(1) from an AR(1) complex Gaussian (A2)."""
        channel, n = self._streams["channel"], self.scenario.n_devices
        if self.scenario.fading == "constant":
            return np.ones(shape)
        if self.scenario.fading != "ar1":
            return channel.standard_exponential(n)
        real, imag = channel.standard_normal((2, n)).swapaxes(0, -2) * np.sqrt(0.5)
        fresh, memory = real + 1j * imag, self.scenario.fading_memory
        self._fade = fresh if self._fade is None else memory * self._fade + np.sqrt(1 - memory**2) * fresh
        return np.abs(self._fade) ** 2


class Sources(Processes):
    """The processes of one system, device arrays (n_devices,)."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        super().__init__(scenario, {name: stream(seed, name) for name in STREAMS})

    def snapshot(self) -> dict[str, Any]:
        """Everything that later draws depend on, ready for JSON."""
        return {
            "streams": {name: generator_state(generator) for name, generator in self._streams.items()},
            "power_w": self._power_w.tolist(),
            "fade": None if self._fade is None else [self._fade.real.tolist(), self._fade.imag.tolist()],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes back to a snapshot of sources with the same scenario and seed."""
        for name, generator in self._streams.items():
            restore_generator(generator, snapshot["streams"][name])
        self._power_w = np.array(snapshot["power_w"])
        fade = snapshot["fade"]
        self._fade = None if fade is None else np.array(fade[0]) + 1j * np.array(fade[1])


class FleetSources(Processes):
    """The processes of many systems, one seed each, device arrays (n_systems, n_devices)."""

    def __init__(self, scenario: Scenario, seeds: Sequence[int]) -> None:
        super().__init__(scenario, {name: Chorus(seeds, name) for name in STREAMS})


def _uniform(unit: Array, ends: tuple[float, float]) -> Array:
    return ends[0] + (ends[1] - ends[0]) * unit
