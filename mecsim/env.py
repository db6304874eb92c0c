"""The Gymnasium face of a twin; importing this module registers mecsim/CollaborativeMEC-v0."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from mecsim import physics
from mecsim.mdp import Encoder, Vector
from mecsim.refinement import Refinement, refine
from mecsim.scenario import Scenario
from mecsim.twin import DigitalTwin

ID = "mecsim/CollaborativeMEC-v0"


class CollaborativeMEC(gymnasium.Env):
    """Offloading in a twin as an endless task: state and action of section III-B, Algorithm 1 inside `step`.

    An observation is the state vector of `Encoder` in [-1, 1]; an action is a proto-action vector in [0, 1], which
    Algorithm 1 makes valid. The reward is the income r(t) of (11). No episode ends; limit it with
    `gymnasium.make(..., max_episode_steps=...)`.

    Args:
        scenario: a scenario, or the name of a preset.
        refinement: what the paper leaves open in Algorithm 1.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, scenario: Scenario | str = "calibrated", refinement: Refinement | None = None) -> None:
        self.scenario = Scenario.preset(scenario) if isinstance(scenario, str) else scenario
        self.refinement = refinement or Refinement()
        self.encoder = Encoder(self.scenario)
        self.observation_space, self.action_space = spaces(self.encoder)
        self._twin: DigitalTwin | None = None

    @property
    def twin(self) -> DigitalTwin:
        """The twin that is stepped.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if self._twin is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step().")
        return self._twin

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Starts a new twin; the same seed gives the same world. There are no options."""
        super().reset(seed=seed)
        world = seed if seed is not None else int(self.np_random.integers(2**31))
        self._twin = DigitalTwin(self.scenario, world)
        return self.encoder.encode(self._twin.state), {}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Refines a proto-action, carries it out and moves to the next slot."""
        twin = self.twin
        valid = refine(self.scenario, twin.state, self.encoder.proto(action), self.refinement)
        executed = self.encoder.executed(valid, twin.state.cpu_hz)
        result = twin.step(valid)
        info = {"executed": executed, "completed": int(result.completed.sum())}
        return self.encoder.encode(twin.state), result.income, False, False, info

    def action_masks(self) -> NDArray[np.bool_]:
        """Which choices (discard, BS-1, ..., BS-N) are worth a try for each device, (n_devices, 1 + n_bs).

        False where even alone in its cell the device lacks the energy (5), the time, or a link.
        """
        scenario, state = self.scenario, self.twin.state
        bandwidth, everyone = scenario.device_bandwidth_hz, np.ones(scenario.n_devices, bool)
        rate = physics.uplink_rate_bps(state.received_w, 0.0, bandwidth, scenario.noise_w_per_hz)
        delay = physics.uplink_delay_s(state.size_bits, everyone, rate)
        powered = physics.affordable(physics.uplink_energy_j(state.power_w, delay), state.energy_j)
        with np.errstate(divide="ignore"):
            link = state.size_bits[:, None] / state.link_bps[scenario.cell]
        timely = physics.slack_s(state.deadline_s[:, None], delay[:, None], link) > 0
        return np.column_stack([everyone, timely & powered[:, None]])


def spaces(encoder: Encoder) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """The spaces of observations and of actions."""
    return (
        gymnasium.spaces.Box(-1.0, 1.0, (encoder.state_size,), np.float32),
        gymnasium.spaces.Box(0.0, 1.0, (encoder.action_size,), np.float32),
    )


gymnasium.register(
    ID,
    entry_point=CollaborativeMEC,
    vector_entry_point="mecsim.env_vector:CollaborativeMECVector",
)
