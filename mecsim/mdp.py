"""The MDP of section III-B as vectors: what a network sees of the state and puts out as an action."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mecsim import physics
from mecsim.physics import Array
from mecsim.refinement import ProtoAction
from mecsim.scenario import SMALLEST, Scenario, ScenarioStack, Stack, flat
from mecsim.settings import SettingError
from mecsim.system import Action, SystemState, check_shapes

Vector = NDArray[np.float32]
DEVICE_FEATURES = 6
"""z, v, delta, g, nu and Q, which the state vector holds of every device, before C and F."""


class Encoder:
    """Turns states and actions of one scenario, or of the members of a stack, into vectors, and back (scaling: A13).

    The state vector holds z, v, delta, g, nu and Q of every device, C of every pair of BSs and F of every BS, each
    scaled to [-1, 1]. The action vector holds x (n_devices), y (n_devices x n_bs) and f as a share of the BS's CPU
    (n_devices x n_bs), each in [0, 1].

    Attributes:
        state_size: length of the state vector.
        action_size: length of the action vector.
        reward_scale: what an income is multiplied by to give the reward: 1 / the award of all tasks, on average; a
            number, or (members,) where members differ.
    """

    def __init__(self, scenario: Scenario | ScenarioStack) -> None:
        stack = isinstance(scenario, ScenarioStack)
        self.scenario: Any = scenario if stack else Scenario.of(scenario)
        n, k = self.scenario.n_devices, self.scenario.n_bs
        self.state_size = DEVICE_FEATURES * n + k * (k - 1) + k
        self.action_size = n * (1 + 2 * k)
        self._scales: Any = (
            Stack(map(_scales_of, self.scenario.members)) if stack else _scales_of(self.scenario)
        )
        self.reward_scale: Any = flat(self._scales.reward)
        self._peers = ~np.eye(k, dtype=bool)

    def encode(self, state: SystemState) -> Vector:
        """The state vector, (..., state_size).

        Device arrays of the state may have an axis of worlds; C and F have one where worlds differ in them. The worlds
        of a stack are those of its members.

        Raises:
            SettingError: the state is not of the scenario's devices and BSs.
        """
        check_shapes(self.scenario, state)
        scales = self._scales
        parts = [_to_unit(getattr(state, name), *getattr(scales, name)) for name in _OF_TASKS]
        parts += [_saturate(state.rate_bps, scales.rate), _saturate(state.energy_j, scales.energy)]
        shared = [
            _to_unit(state.link_bps[..., self._peers], *scales.link_bps),
            _to_unit(state.cpu_hz, *scales.cpu_hz),
        ]
        lead = state.energy_j.shape[:-1]
        if lead:
            shared = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in shared]
        return np.concatenate(parts + shared, axis=-1, dtype=np.float32)

    def proto(self, vector: Vector) -> ProtoAction:
        """An actor's output as a proto-action, (..., action_size); leading axes stay.

        Raises:
            SettingError: it is longer or shorter.
        """
        n, k, output = self.scenario.n_devices, self.scenario.n_bs, np.asarray(vector, float)
        if output.shape[-1:] != (self.action_size,):
            raise SettingError(
                f"action vector of shape {output.shape} is not allowed: it should have the shape "
                f"(..., {self.action_size}), as devices = {self.scenario.devices}."
            )
        offload, peer, share = np.split(output, (n, n * (1 + k)), axis=-1)
        return ProtoAction(offload, _by_bs(peer, k), _by_bs(share, k))

    def executed(self, action: Action, cpu_hz: Array) -> Vector:
        """A valid action as an action vector, (..., action_size); `cpu_hz` is F, which turns f into a share.

        Raises:
            SettingError: it is the action of other devices.
        """
        n, k, lead = self.scenario.n_devices, self.scenario.n_bs, action.placement.shape[:-1]
        if action.placement.shape != (*lead, n):
            raise SettingError(
                f"placement of shape {action.placement.shape} is not allowed: it should have the shape (..., {n}), as "
                f"devices = {self.scenario.devices}."
            )
        parts = (action.offload, action.peer(k), action.allocated_hz(k) / cpu_hz[..., None, :])
        return np.concatenate([part.reshape(*lead, -1) for part in parts], axis=-1, dtype=np.float32)


class _Unit(NamedTuple):
    """How a quantity is mapped to [-1, 1]; one that has a single value is mapped to 0."""

    low: float
    width: float
    offset: float

    @classmethod
    def between(cls, low: float, high: float) -> _Unit:
        return cls(low, high - low, -1.0) if high > low else cls(low, np.inf, 0.0)


class _Scales(NamedTuple):
    """What the vectors of a scenario are scaled by: ranges, middles of nu's and Q's scales, and that of the reward."""

    size_bits: _Unit
    density_cycles_per_bit: _Unit
    award: _Unit
    deadline_s: _Unit
    link_bps: _Unit
    cpu_hz: _Unit
    rate: float
    energy: float
    reward: float


_OF_TASKS = ("size_bits", "density_cycles_per_bit", "award", "deadline_s")


def _scales_of(scenario: Scenario) -> _Scales:
    def between(name: str, scale: str) -> _Unit:
        (low, high), scales = getattr(scenario, name), getattr(scenario, scale)
        return _Unit.between(low * min(scales), high * max(scales))

    mean_award = float(np.mean(scenario.award)) * scenario.per_device("award_scale")
    rate = _typical_rate(scenario)
    return _Scales(
        size_bits=between("size_bits", "size_scale"),
        density_cycles_per_bit=between("density_cycles_per_bit", "density_scale"),
        award=between("award", "award_scale"),
        deadline_s=_Unit.between(
            scenario.deadline_s[0] * min(scenario.deadline_scale), scenario.deadline_s[1]
        ),
        link_bps=_Unit.between(0.0, scenario.link_bps),
        cpu_hz=_Unit.between(0.0, max(scenario.cpu_hz)),
        rate=rate,
        energy=float(np.mean(scenario.power_w) * np.mean(scenario.size_bits) / rate),
        reward=1.0 / float(mean_award.sum()),
    )


def _typical_rate(scenario: Scenario) -> float:
    """The interference-free rate at mean power and gain, in bit/s: the middle of nu's scale."""
    received = float(np.mean(scenario.power_w) * scenario.mean_gain * np.mean(scenario.gain_scale))
    bandwidth = float(np.mean(scenario.bandwidth_hz))
    rate = float(physics.uplink_rate_bps(received, 0.0, bandwidth, scenario.noise_w_per_hz))
    return max(rate, SMALLEST)  # 0 where 1 + p h / (B N0) is 1 but for rounding


def _to_unit(values: Array, low: Array | float, width: Array | float, offset: Array | float) -> Array:
    return 2.0 * (values - low) / width + offset


def _by_bs(rows: Array, n_bs: int) -> Array:
    """(..., n_devices * n_bs) -> (..., n_devices, n_bs), stored BS by BS: a maximum over BSs then runs along rows."""
    choices = rows.reshape(*rows.shape[:-1], -1, n_bs)
    return np.ascontiguousarray(choices.swapaxes(-1, -2)).swapaxes(-1, -2)


def _saturate(values: Array, middle: Array | float) -> Array:
    """Maps [0, inf) to [-1, 1) with `middle` at 0: for nu and Q, which have no upper end."""
    return (values - middle) / (values + middle)
