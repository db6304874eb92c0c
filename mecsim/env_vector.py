"""The vector form of mecsim/CollaborativeMEC-v0: a fleet of twins behind Gymnasium's vector interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mecsim.env import spaces
from mecsim.fleet import Fleet
from mecsim.fleet_refinement import refine_batch
from mecsim.mdp import Encoder, Vector
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.settings import SettingError

Stepped = tuple[Vector, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class CollaborativeMECVector(VectorEnv):
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
        self.num_envs = num_envs
        self.scenario = Scenario.preset(scenario) if isinstance(scenario, str) else scenario
        self.refinement = refinement or Refinement()
        self.encoder = Encoder(self.scenario)
        self.single_observation_space, self.single_action_space = spaces(self.encoder)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._fleet: Fleet | None = None
        self._worlds: list[np.random.Generator | None] = [None] * num_envs

    @property
    def fleet(self) -> Fleet:
        """The fleet that is stepped.

        Raises:
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if self._fleet is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step().")
        return self._fleet

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Starts a new fleet; there are no options.

        Args:
            seed: of each twin; a single number is that of the first, the others count up from it.
            options: ignored but for Gymnasium's "reset_mask", which would start some twins without the others.

        Raises:
            SettingError: there is a reset mask.
            ValueError: there is not one seed for each twin.
        """
        if options and "reset_mask" in options:
            raise SettingError(
                "reset_mask is not allowed: the twins of a fleet share a slot and start together."
            )
        seeds = [seed] * self.num_envs if seed is None else seed
        if isinstance(seeds, int):
            seeds = [seeds + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"seed = {seed} is not allowed: it should be one number, or one for each of the {self.num_envs} twins."
            )
        self._fleet = Fleet(self.scenario, [self._world(i, one) for i, one in enumerate(seeds)])
        return self.encoder.encode(self._fleet.state), {}

    def step(self, actions: Vector) -> Stepped:
        """Refines the proto-action of each twin, carries it out and moves all of them to their next slot."""
        fleet = self.fleet
        valid = refine_batch(self.scenario, fleet.state, self.encoder.proto(actions), self.refinement)
        executed = self.encoder.executed(valid, fleet.state.cpu_hz)
        result = fleet.step(valid)
        every, none = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        info = {
            "executed": executed,
            "_executed": every,
            "completed": result.completed.sum(axis=1),
            "_completed": every.copy(),
        }
        return self.encoder.encode(fleet.state), result.income, none, none.copy(), info

    def _world(self, index: int, seed: int | None) -> int:
        """The seed of a twin's streams; without one, the next of those that its last seed leads to."""
        if seed is not None or self._worlds[index] is None:
            self._worlds[index], _ = seeding.np_random(seed)
        return seed if seed is not None else int(self._worlds[index].integers(2**31))
