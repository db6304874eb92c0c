"""The random processes of section V: tasks, channels and harvests, each from a stream of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.streams import generator_state, restore_generator, stream


class Draw(NamedTuple):
    """What one slot brings to each device, arrays of shape (n_devices,)."""

    size_bits: Array
    density_cycles_per_bit: Array
    deadline_s: Array
    award: Array
    power_w: Array
    gain: Array
    harvest_j: Array


class Sources:
    """Draws the tasks, powers, channel gains and harvests of successive slots.

    The numbers drawn do not depend on any range or scale of the scenario, so that two scenarios of the same devices
    meet the same luck (common random numbers).
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self._streams = {name: stream(seed, name) for name in ("devices", "tasks", "channel", "harvest")}
        devices = self._streams["devices"]
        self._mean_gain = self._draw_mean_gain(devices)
        self._power_w = self._uniform(devices.random(scenario.n_devices), scenario.power_w)
        self._fade: Array | None = None

    def draw(self) -> Draw:
        """The draws of the next slot."""
        scenario = self.scenario
        size, density, deadline, award = self._streams["tasks"].random((4, scenario.n_devices))
        harvest = self._streams["harvest"].random(scenario.n_devices)
        low = scenario.deadline_s[0] * scenario.per_device("deadline_scale")
        if scenario.power_drawn == "each slot":
            drawn = self._streams["devices"].random(scenario.n_devices)
            self._power_w = self._uniform(drawn, scenario.power_w)
        return Draw(
            size_bits=self._uniform(size, scenario.size_bits) * scenario.per_device("size_scale"),
            density_cycles_per_bit=self._uniform(density, scenario.density_cycles_per_bit)
            * scenario.per_device("density_scale"),
            deadline_s=low + (scenario.deadline_s[1] - low) * deadline,
            award=self._uniform(award, scenario.award) * scenario.per_device("award_scale"),
            power_w=self._power_w,
            gain=self._mean_gain * self._draw_fade() * scenario.per_device("gain_scale"),
            harvest_j=self._uniform(harvest, scenario.harvest_w)
            * scenario.slot_harvest_s
            * scenario.per_device("harvest_scale"),
        )

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

    @staticmethod
    def _uniform(unit: Array, ends: tuple[float, float]) -> Array:
        return ends[0] + (ends[1] - ends[0]) * unit

    def _draw_mean_gain(self, devices: np.random.Generator) -> Array:
        """Mean gain of each device; with path loss, at a place drawn uniformly over its cell (A2)."""
        scenario = self.scenario
        mean = np.full(scenario.n_devices, scenario.mean_gain)
        if scenario.fading != "path_loss":
            return mean
        nearest = 0.05
        distance = np.sqrt(nearest**2 + (1 - nearest**2) * devices.random(scenario.n_devices))
        return mean * distance**-scenario.path_loss_exponent

    def _draw_fade(self) -> Array | float:
        """Fading of mean 1: none, Exp(1) anew each slot, or Exp(1) from an AR(1) complex Gaussian (A2)."""
        channel, n = self._streams["channel"], self.scenario.n_devices
        if self.scenario.fading == "constant":
            return 1.0
        if self.scenario.fading != "ar1":
            return channel.standard_exponential(n)
        real, imag = channel.standard_normal((2, n)) * np.sqrt(0.5)
        fresh, memory = real + 1j * imag, self.scenario.fading_memory
        self._fade = fresh if self._fade is None else memory * self._fade + np.sqrt(1 - memory**2) * fresh
        return np.abs(self._fade) ** 2
