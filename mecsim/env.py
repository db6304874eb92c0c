"""The Gymnasium face of a twin, one or many; importing this module registers mecsim/CollaborativeMEC-v0.

`gymnasium.make("mecsim.env:mecsim/CollaborativeMEC-v0")` imports it by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mecsim import physics
from mecsim.mdp import Encoder, Vector
from mecsim.physics import Array, Bools, Ints
from mecsim.refinement import Refinement, line_1, refine_discrete
from mecsim.scenario import Scenario
from mecsim.settings import SettingError, Settings, whole_number
from mecsim.system import Outcome, SystemState
from mecsim.twin import DigitalTwin

ID = "mecsim/CollaborativeMEC-v0"
FPS = 4
"""Slots that are shown in a second."""

Image = NDArray[np.uint8]


class _TwinFace:
    """What the environments of one twin and of many have in common.

    Attributes:
        scenario, refinement: of the twins.
        encoder: turns states and actions into vectors.
        spaces: of the observations and of the actions of one twin.
        render_mode: Gymnasium's.
    """

    metadata: dict[str, Any]
    action_space: gymnasium.Space

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any] | str,
        refinement: Refinement | Mapping[str, Any] | None,
        render_mode: str | None,
    ) -> None:
        self.scenario, self.refinement = Scenario.of(scenario), Refinement.of(refinement)
        modes = (None, *self.metadata["render_modes"])
        if render_mode not in modes:
            raise SettingError(
                f"render_mode = {render_mode!r} is not allowed: it should be one of "
                f"{', '.join(map(repr, modes))}."
            )
        self.render_mode = render_mode
        self.encoder = Encoder(self.scenario)
        self.spaces = (
            gymnasium.spaces.Box(-1.0, 1.0, (self.encoder.state_size,), np.float32),
            gymnasium.spaces.Box(0.0, 1.0, (self.encoder.action_size,), np.float32),
        )
        self._spec: EnvSpec | None = None
        self._twin: DigitalTwin | None = None
        self._last: tuple[SystemState, Ints, Array] | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """Gymnasium's, with settings as plain values, so that it goes into JSON."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        plain = {name: _plain(value) for name, value in spec.kwargs.items()} if spec else {}
        self._spec = replace(spec, kwargs=plain) if spec else None

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
        self._twin, self._last = DigitalTwin(self.scenario, seed), None
        return self.encoder.encode(self._twin.state)

    def _check_shape(self, action: Vector) -> None:
        shape = self.action_space.shape
        if np.shape(action) != shape:
            raise SettingError(
                f"action of shape {np.shape(action)} is not allowed: it should have the shape {shape}."
            )

    def _act(self, action: Vector) -> tuple[Outcome, Vector]:
        """Refines a proto-action and carries it out: the outcome, and the action executed."""
        state = self.twin.state
        proto = self.encoder.proto(action)
        offered = line_1(proto)
        valid = refine_discrete(self.scenario, state, offered, self.refinement, proto.cpu_share)
        self._last = state, offered, proto.cpu_share
        return self.twin.step(valid), self.encoder.executed(valid, state.cpu_hz)

    def _picture(self, *world: int, fresh: bool = False) -> Image:
        """The last slot of a world, or a `fresh` one's first with nothing on offer, (height, width, 3)."""
        from mecsim.agents.base import Offer
        from mecsim.explore.drawing import pixels
        from mecsim.explore.slots import draw_slot, refined_slot

        n, n_bs, state = self.scenario.n_devices, self.scenario.n_bs, self.twin.state
        if self._last is None or fresh:
            offer = Offer(np.full(n, -1), np.zeros((n, n_bs)))
        else:
            state, offered, cpu_share = self._last
            offer = Offer(offered[world], cpu_share[world])
        state = state.world(*world) if world else state
        return pixels(draw_slot(refined_slot(self.scenario, state, [offer], self.refinement)))

    def _warn_without_mode(self) -> None:
        gymnasium.logger.warn(
            f"render() shows nothing without a mode: make({ID!r}, render_mode='rgb_array')."
        )


class CollaborativeMEC(_TwinFace, gymnasium.Env):
    """Offloading in a twin as an endless task: state and action of section III-B, Algorithm 1 inside `step`.

    An observation is the state vector of `Encoder` in [-1, 1]; an action is a proto-action vector in [0, 1], which
    Algorithm 1 makes valid. The reward is the income r(t) of (11). No episode ends; limit it with
    `gymnasium.make(..., max_episode_steps=...)`.

    Args:
        scenario: a scenario, its fields in a dict, or the name of a preset.
        refinement: what the paper leaves open in Algorithm 1; or its fields in a dict.
        render_mode: None; "rgb_array", in which `render` gives the slot of the last action as a picture; or "human", in
            which each slot is shown, in a notebook or in a window where there is a screen.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": FPS}  # noqa: RUF012

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any] | str = "calibrated",
        refinement: Refinement | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(scenario, refinement, render_mode)
        self.observation_space, self.action_space = self.spaces
        self._display: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Starts a new twin; the same seed gives the same world. There are no options."""
        seed = None if seed is None else whole_number("seed", seed)
        gymnasium.Env.reset(self, seed=seed)
        observation = self._start(seed if seed is not None else int(self.np_random.integers(2**31)))
        self._show()
        return observation, {}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Refines a proto-action, carries it out and moves to the next slot.

        Raises:
            SettingError: the action has another shape than those of `action_space`.
            ValueError: it holds a NaN.
        """
        self._check_shape(action)
        result, executed = self._act(action)
        self._show()
        info = {"executed": executed, "completed": int(result.completed.sum())}
        return self.encoder.encode(self.twin.state), float(result.income), False, False, info

    def render(self) -> Image | None:
        """The slot of the last action as a picture, (height, width, 3), in the mode "rgb_array"."""
        if self.render_mode is None:
            self._warn_without_mode()
        self._show()
        return self._picture() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self.render_mode == "human":
            from mecsim.explore.drawing import close

            close()

    def _show(self) -> None:
        if self.render_mode == "human":
            from mecsim.explore.drawing import show

            self._display = show(self._picture(), self._display, 1 / FPS)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which choices (discard, BS-1, ..., BS-N) are worth a try for each device, (n_devices, 1 + n_bs).

        False where even alone in its cell the device lacks the energy (5), the time, or a link.
        """
        scenario, state = self.scenario, self.twin.state
        bandwidth, everyone = scenario.device_bandwidth_hz, np.ones(scenario.n_devices, bool)
        rate = physics.uplink_rate_bps(state.received_w, 0.0, bandwidth, scenario.noise_w_per_hz)
        delay = physics.uplink_delay_s(state.size_bits, everyone, rate)
        powered = physics.affordable(physics.uplink_energy_j(state.power_w, delay), state.energy_j)
        link = physics.link_delays_s(state.size_bits, scenario.cell, state.link_bps)
        timely = physics.slack_s(state.deadline_s[:, None], delay[:, None], link) > 0
        return np.column_stack([everyone, timely & powered[:, None]])


class CollaborativeMECVector(_TwinFace, VectorEnv):
    """Many `CollaborativeMEC` stepped at once: what `SyncVectorEnv` makes of them, computed together.

    Args:
        num_envs: how many twins.
        scenario: a scenario, its fields in a dict, or the name of a preset.
        refinement: what the paper leaves open in Algorithm 1; or its fields in a dict.
        max_episode_steps: slots of an episode, which is then truncated; by default, and with Gymnasium's -1, none ends.
        render_mode: None, or "rgb_array".
        autoreset_mode: when a twin whose episode has ended starts a new one, see `gymnasium.vector.AutoresetMode`; or
            its value, such as "SameStep".
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": FPS,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | Mapping[str, Any] | str = "calibrated",
        refinement: Refinement | Mapping[str, Any] | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        super().__init__(scenario, refinement, render_mode)
        self.num_envs = num_envs = whole_number("num_envs", num_envs, least=1)
        limit = None if max_episode_steps == -1 else max_episode_steps
        self.max_episode_steps = None if limit is None else whole_number("max_episode_steps", limit, least=1)
        known = [mode.value for mode in AutoresetMode]
        if autoreset_mode not in (*known, *AutoresetMode):
            raise SettingError(
                f"autoreset_mode = {autoreset_mode!r} is not allowed: it should be one of "
                f"{', '.join(map(repr, known))}."
            )
        self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode(autoreset_mode)}
        self.single_observation_space, self.single_action_space = self.spaces
        self.observation_space, self.action_space = (batch_space(one, num_envs) for one in self.spaces)
        self._worlds: list[np.random.Generator | None] = [None] * num_envs
        self._slots, self._ended = np.zeros(num_envs, int), np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Starts new twins.

        Args:
            seed: of each twin; a single number is that of the first, the others count up from it.
            options: Gymnasium's "reset_mask", (num_envs,) booleans, starts some twins and lets the others be.

        Raises:
            SettingError: there is not one seed, or one entry of the mask, for each twin.
        """
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise SettingError(
                f"reset_mask = {mask.tolist()} is not allowed: it should hold {self.num_envs} booleans, not all False."
            )
        self._restart(mask, self._seeds(seed))
        return self.encoder.encode(self.twin.state), {}

    def step(self, actions: Vector) -> tuple[Vector, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Refines the proto-action of each twin, carries it out and moves all of them to their next slot.

        Raises:
            SettingError: the actions have another shape than those of `action_space`.
            ValueError: one holds a NaN.
            gymnasium.error.ResetNeeded: an episode has ended, and none starts by itself.
        """
        self._check_shape(actions)
        mode, started = self.metadata["autoreset_mode"], self._ended
        if mode is AutoresetMode.DISABLED and started.any():
            raise gymnasium.error.ResetNeeded(
                "an episode has ended: call reset(options={'reset_mask': ...})."
            )
        never = np.zeros(self.num_envs, bool)
        if started.all():
            self._restart(started)
            return self.encoder.encode(self.twin.state), np.zeros(self.num_envs), never, never.copy(), {}
        result, executed = self._act(np.where(started[:, None], 0.0, actions) if started.any() else actions)
        done = {"executed": executed, "completed": result.completed.sum(axis=1)}
        self._slots += 1
        if started.any():
            self._restart(started)
        moved = ~started
        ended = never if self.max_episode_steps is None else moved & (self._slots >= self.max_episode_steps)
        observations, infos = self.encoder.encode(self.twin.state), _by_twin(done, moved)
        if mode is AutoresetMode.SAME_STEP and ended.any():
            last = np.full(self.num_envs, None)
            for world in np.flatnonzero(ended):
                last[world] = observations[world]
            infos = _by_twin(done, moved & ~ended)
            infos |= {"final_obs": last, "final_info": _by_twin(done, ended)}
            infos |= {"_final_obs": ended, "_final_info": ended.copy()}
            self._restart(ended)
            observations = self.encoder.encode(self.twin.state)
        else:
            self._ended = ended.copy()
        return observations, np.where(moved, result.income, 0.0), never, ended.copy(), infos

    def render(self) -> tuple[Image, ...] | None:
        """The slot of each twin's last action as a picture, in the mode "rgb_array"."""
        if self.render_mode is None:
            self._warn_without_mode()
            return None
        return tuple(self._picture(world, fresh=slots == 0) for world, slots in enumerate(self._slots))

    def _restart(self, which: Bools, seeds: Sequence[int | None] | None = None) -> None:
        """Starts some twins, or all."""
        worlds = np.flatnonzero(which).tolist()
        given = [self._world(world, seeds[world] if seeds else None) for world in worlds]
        if which.all():
            self._start(given)
        else:
            self.twin.restart(worlds, given)
        self._slots[which], self._ended = 0, self._ended & ~which

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """One for each twin."""
        if seed is None or isinstance(seed, str) or not np.ndim(seed):  # pyright: ignore[reportArgumentType]
            first = None if seed is None else whole_number("seed", seed)
            return [None if first is None else first + i for i in range(self.num_envs)]
        seeds = [None if one is None else whole_number("seed", one) for one in seed]  # pyright: ignore
        if len(seeds) != self.num_envs:
            raise SettingError(
                f"seed = {seed} is not allowed: it should be one number, or one for each of the {self.num_envs} twins."
            )
        return seeds

    def _world(self, index: int, seed: int | None) -> int:
        """The seed of a twin's streams; without one, the next of those that its last seed leads to."""
        world = self._worlds[index]
        if seed is not None or world is None:
            world, _ = seeding.np_random(seed)
            self._worlds[index] = world
        return seed if seed is not None else int(world.integers(2**31))


def _by_twin(info: Mapping[str, NDArray[Any]], which: Bools) -> dict[str, Any]:
    """The infos of some twins as Gymnasium joins them: zeros for the others, and a mask "_name" for each name."""
    if not which.any():
        return {}
    joined = {
        name: np.where(which.reshape(-1, *[1] * (value.ndim - 1)), value, 0) for name, value in info.items()
    }
    return {**joined, **{f"_{name}": which.copy() for name in info}}


def _plain(value: Any) -> Any:
    """A keyword argument of an environment as JSON has it; the environment takes it as well."""
    if isinstance(value, Settings):
        return value.model_dump(mode="json", exclude_defaults=True)
    return value.value if isinstance(value, AutoresetMode) else value


gymnasium.register(
    ID,
    entry_point=f"{__name__}:CollaborativeMEC",
    vector_entry_point=f"{__name__}:CollaborativeMECVector",
)
