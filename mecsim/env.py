"""The Gymnasium face of a twin, one or many; importing this module registers mecsim/CollaborativeMEC-v0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mecsim import physics
from mecsim.mdp import Encoder, Vector
from mecsim.physics import Bools
from mecsim.refinement import Refinement, refine
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Outcome
from mecsim.twin import DigitalTwin

ID = "mecsim/CollaborativeMEC-v0"


class _TwinFace:
    """What the environments of one twin and of many have in common.

    Attributes:
        scenario, refinement: of the twins.
        encoder: turns states and actions into vectors.
        spaces: of the observations and of the actions of one twin.
    """

    def __init__(self, scenario: Scenario | str = "calibrated", refinement: Refinement | None = None) -> None:
        self.scenario = Scenario.preset(scenario) if isinstance(scenario, str) else scenario
        self.refinement = refinement or Refinement()
        self.encoder = Encoder(self.scenario)
        self.spaces = (
            gymnasium.spaces.Box(-1.0, 1.0, (self.encoder.state_size,), np.float32),
            gymnasium.spaces.Box(0.0, 1.0, (self.encoder.action_size,), np.float32),
        )
        self._twin: DigitalTwin | None = None

    @property
    def twin(self) -> DigitalTwin:
        """The twin that is stepped, of one world or of many.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if self._twin is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step().")
        return self._twin

    def _start(self, seed: int | list[int]) -> Vector:
        """Starts a new twin and returns its observation."""
        self._twin = DigitalTwin(self.scenario, seed)
        return self.encoder.encode(self._twin.state)

    def _act(self, action: Vector) -> tuple[Vector, Outcome, Vector]:
        """Refines a proto-action and carries it out: the next observation, the outcome, the action executed."""
        state = self.twin.state
        valid = refine(self.scenario, state, self.encoder.proto(action), self.refinement)
        result = self.twin.step(valid)
        return self.encoder.encode(self.twin.state), result, self.encoder.executed(valid, state.cpu_hz)


class CollaborativeMEC(_TwinFace, gymnasium.Env):
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
        super().__init__(scenario, refinement)
        self.observation_space, self.action_space = self.spaces

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Starts a new twin; the same seed gives the same world. There are no options."""
        gymnasium.Env.reset(self, seed=seed)
        return self._start(seed if seed is not None else int(self.np_random.integers(2**31))), {}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Refines a proto-action, carries it out and moves to the next slot."""
        observation, result, executed = self._act(action)
        info = {"executed": executed, "completed": int(result.completed.sum())}
        return observation, float(result.income), False, False, info

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


class CollaborativeMECVector(_TwinFace, VectorEnv):
    """Many `CollaborativeMEC` stepped at once: what `SyncVectorEnv` makes of them, computed together.

    No episode ends, so that there is nothing to reset automatically.

    Args:
        num_envs: how many twins.
        scenario: a scenario, or the name of a preset.
        refinement: what the paper leaves open in Algorithm 1.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | str = "calibrated",
        refinement: Refinement | None = None,
    ) -> None:
        super().__init__(scenario, refinement)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = self.spaces
        self.observation_space, self.action_space = (batch_space(one, num_envs) for one in self.spaces)
        self._worlds: list[np.random.Generator | None] = [None] * num_envs

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Starts new twins; there are no options.

        Args:
            seed: of each twin; a single number is that of the first, the others count up from it.
            options: ignored but for Gymnasium's "reset_mask", which would start some twins without the others.

        Raises:
            SettingError: there is a reset mask.
            ValueError: there is not one seed for each twin.
        """
        if options and "reset_mask" in options:
            raise SettingError("reset_mask is not allowed: the twins share a slot and start together.")
        seeds = [seed] * self.num_envs if seed is None else seed
        if isinstance(seeds, int):
            seeds = [seeds + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"seed = {seed} is not allowed: it should be one number, or one for each of the {self.num_envs} twins."
            )
        return self._start([self._world(i, one) for i, one in enumerate(seeds)]), {}

    def step(self, actions: Vector) -> tuple[Vector, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Refines the proto-action of each twin, carries it out and moves all of them to their next slot."""
        observations, result, executed = self._act(actions)
        every, none = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        info = {
            "executed": executed,
            "_executed": every,
            "completed": result.completed.sum(axis=1),
            "_completed": every.copy(),
        }
        return observations, np.asarray(result.income), none, none.copy(), info

    def _world(self, index: int, seed: int | None) -> int:
        """The seed of a twin's streams; without one, the next of those that its last seed leads to."""
        world = self._worlds[index]
        if seed is not None or world is None:
            world, _ = seeding.np_random(seed)
            self._worlds[index] = world
        return seed if seed is not None else int(world.integers(2**31))


gymnasium.register(
    ID,
    entry_point=f"{__name__}:CollaborativeMEC",
    vector_entry_point=f"{__name__}:CollaborativeMECVector",
)
