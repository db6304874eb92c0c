"""What INTO and DDQN have in common: exploring, remembering, learning, and being saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from mecsim.agents.base import Agent
from mecsim.agents.networks import optimiser_tensors, restore_optimiser, to_tensor
from mecsim.agents.replay import Batch, Replay
from mecsim.mdp import Encoder, Vector
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario, ScenarioStack, Stack, flat
from mecsim.settings import SettingError, Settings, Whole
from mecsim.system import Action, Streams, SystemState, in_worlds

Rate = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class LearnerSettings(Settings):
    """What every learner of section V shares, with Table II's values.

    Attributes:
        gamma: discount factor.
        batch_size: tuples in a mini-batch Lambda.
        replay_size: tuples in the replay memory Omega.
        device: where the networks live, such as "cpu" or "cuda".
        precision: of the matrix products of an update; weights and optimisers are always float32.
        reward_slope, reward_offset: the reward learnt from is slope r + offset, where r = 1 is the award of all tasks
            on average (A13). Other values than 1 and 0 show what a learner needs to know of its rewards.
        inputs: what of a state lies outside [-1, 1], as it may where the world has changed, is seen as it comes, or at
            the end of the range (A38).
        target_every: slots between two updates of the target networks (A34, A35).
        sampling: may a tuple be drawn more than once for a mini-batch (A36)?
    """

    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.99
    batch_size: Whole = 64
    replay_size: Whole = 3000
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    reward_slope: Finite = 1.0
    reward_offset: Finite = 0.0
    inputs: Literal["as they come", "clipped"] = "as they come"
    target_every: Whole = 1
    sampling: Literal["with replacement", "without replacement"] = "with replacement"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replay_size < self.batch_size:
            raise ValueError(
                f"replay_size = {self.replay_size} is not allowed: it should be at least batch_size = "
                f"{self.batch_size}, as nothing is learnt before there is a mini-batch"
            )
        return self


OF_MEMBERS = {
    "gamma",
    "learning_rate",
    "actor_learning_rate",
    "critic_learning_rate",
    "noise",
    "reward_slope",
    "reward_offset",
}
"""Settings in which the members of a stack may differ."""


class Learner(Agent):
    """An agent that learns from every slot, or a stack of many that do so at once, each as it would alone.

    A stack is made by many seeds, scenarios or settings. Member i decides for world i, and every array has an axis of
    members in front. Their matrix products are worked out together, so that a member's numbers are those of its
    training alone but for rounding. A subclass fills `networks` and `optimisers` by name, and `replay`.

    Attributes:
        worlds: (), or (how many members,).
        diverged: the slot in which a member's network first gave a NaN, by its number. What it gives then counts as 0:
            it discards every task unless it explores.
    """

    Settings: type[LearnerSettings]
    settings: Any
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Adam]
    replay: Replay

    def __init__(
        self,
        scenario: Scenario | ScenarioStack | Sequence[Scenario],
        seed: int | Sequence[int],
        refinement: Refinement | None,
        settings: Any,
    ) -> None:
        known, seeds = in_worlds(scenario, seed)
        super().__init__(known, refinement=refinement)
        if isinstance(settings, list | tuple):
            self.settings = SettingsStack([self.Settings.of(one) for one in settings])
            seeds = [seeds] * len(settings) if isinstance(seeds, int) else seeds
            if len(seeds) != len(settings):
                raise SettingError(
                    f"settings of {len(settings)} members are not allowed: there should be one for each of the "
                    f"{len(seeds)} seeds."
                )
        else:
            self.settings = self.Settings.of(settings)
        self.seed: Any = seeds
        self.worlds = () if isinstance(seeds, int) else (len(seeds),)
        self.device = torch_device(self.settings.device)
        self.encoder = Encoder(self.scenario)
        self.exploration = Streams(seeds, "exploration")
        self.diverged: dict[int, int] = {}
        self._updates = 0

    @abstractmethod
    def explore(self, state: SystemState) -> Action:
        """A valid action with exploration, lines 5 and 6 of Algorithm 2."""

    @abstractmethod
    def remember(self, state: SystemState, action: Action, income: Any, next_state: SystemState) -> None:
        """Stores the experience of a slot, line 8."""

    @abstractmethod
    def update(self, batch: Batch) -> None:
        """Learns from a mini-batch, lines 10 to 13."""

    def learn(self) -> None:
        """Samples a mini-batch and learns from it, once there is enough experience for one (A24), lines 9 to 13."""
        size, low = self.settings.batch_size, self.settings.precision == "bfloat16"
        replace = self.settings.sampling == "with replacement"
        if len(self.replay) < size:
            return
        self._updates += 1
        with (
            torch.enable_grad(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=False),
        ):
            self.update(self.replay.sample(size, replace))

    @property
    def targets_follow(self) -> bool:
        """Do the target networks follow in this slot?"""
        return self._updates % self.settings.target_every == 0

    @property
    def gamma(self) -> float | Tensor:
        """The discount factor, (members, 1) where members differ in it."""
        gamma = self.settings.gamma
        if isinstance(gamma, float):
            return gamma
        return torch.as_tensor(gamma, dtype=torch.float32, device=self.device)

    def reward(self, income: Any) -> Any:
        """What is learnt from an income, a number or (members,), see `LearnerSettings`."""
        scale = self.encoder.reward_scale
        slope, offset = flat(self.settings.reward_slope), flat(self.settings.reward_offset)
        return (slope * income + offset / scale) * scale

    def vector(self, state: SystemState) -> Vector:
        """The state vector as the networks see it, (..., state_size)."""
        vector = self.encoder.encode(state)
        return vector if self.settings.inputs == "as they come" else vector.clip(-1.0, 1.0)

    def inputs(self, state: SystemState) -> Tensor:
        """A state as a batch of one, or those of many worlds as one batch; as a batch of one for each member.

        Raises:
            SettingError: the state is not of one world a member.
        """
        vector = self.vector(state)
        if self.worlds and vector.shape[:-1] != self.worlds:
            raise SettingError(
                f"state of worlds {vector.shape[:-1]} is not allowed: it should be {self.worlds}, one "
                "for each member."
            )
        return to_tensor(vector[:, None] if self.worlds else vector, self.device)

    def sound(self, outputs: Tensor, state: SystemState) -> Tensor:
        """What a network puts out, with zeros in place of NaN for members that diverge, which are set aside."""
        if not self.worlds:
            return outputs
        lost = outputs.isnan()
        for member in lost.flatten(1).any(1).nonzero().flatten().tolist():
            self.diverged.setdefault(member, state.slot)
        return outputs.masked_fill(lost, 0.0) if self.diverged else outputs

    def member(self, number: int) -> Self:
        """One member of a stack as a learner of its own that goes on from here."""
        scenario, settings = self.scenario, self.settings
        alone = type(self)(
            scenario.members[number] if isinstance(scenario, ScenarioStack) else scenario,
            self.seed[number],
            self.refinement,
            settings.members[number] if isinstance(settings, SettingsStack) else settings,
        )
        position = self.position()
        position["exploration"] = position["exploration"][number]
        position["replay"]["draws"] = position["replay"]["draws"][number]
        position.pop("diverged", None)
        tensors = {name: value[number] if value.dim() else value for name, value in self.tensors().items()}
        alone.restore(tensors, position)
        return alone

    def tensors(self) -> dict[str, Tensor]:
        """Everything learnt, by name."""
        named = {f"replay/{name}": value for name, value in self.replay.tensors().items()}
        for name, network in self.networks.items():
            named |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            named |= {f"adam/{name}/{key}": value for key, value in optimiser_tensors(optimiser).items()}
        return named

    def position(self) -> dict[str, Any]:
        """Where the streams and the replay memory stand, ready for JSON."""
        where = {
            "exploration": self.exploration.snapshot(),
            "replay": self.replay.position(),
            "updates": self._updates,
        }
        return {**where, "diverged": list(self.diverged.items())} if self.diverged else where

    def restore(self, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
        """Goes back to a checkpoint of a learner with the same scenario and settings."""
        self.replay.restore(_under("replay", tensors), position["replay"])
        self.exploration.restore(position["exploration"])
        self.diverged = dict(position.get("diverged", ()))
        # An older checkpoint has targets that follow in every slot, so that its count does not matter.
        self._updates = position.get("updates", 0)
        for name, network in self.networks.items():
            network.load_state_dict(_under(f"network/{name}", tensors))
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, _under(f"adam/{name}", tensors))


class SettingsStack(Stack):
    """The settings of the members of a stack, which may differ in `OF_MEMBERS` alone.

    Raises:
        SettingError: there are none, or they differ in more.
    """

    def __init__(self, members: Sequence[LearnerSettings]) -> None:
        super().__init__(members)
        if not self.members:
            raise SettingError("settings = [] is not allowed: there should be at least one member.")
        for name in type(self.members[0]).model_fields.keys() - OF_MEMBERS:
            found = {getattr(member, name) for member in self.members}
            if len(found) > 1:
                raise SettingError(
                    f"{name} = {', '.join(map(repr, found))} is not allowed: members of a stack should differ in "
                    f"{', '.join(sorted(OF_MEMBERS))} alone."
                )


def torch_device(name: str) -> torch.device:
    """A device by its name.

    Raises:
        SettingError: there is no such device here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # the device meta holds no numbers
    except (RuntimeError, AssertionError, TypeError):
        raise SettingError(
            f"device = {name!r} is not allowed: it should be a device of this machine, such as 'cpu'."
        ) from None
    return device


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }
