"""What INTO and DDQN have in common: exploring, remembering, learning, and being saved."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from mecsim.agents.base import Agent
from mecsim.agents.networks import optimiser_tensors, restore_optimiser
from mecsim.agents.replay import Batch, Replay
from mecsim.mdp import Encoder
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.settings import SettingError, Settings, Whole
from mecsim.system import Action, SystemState, generator_state, restore_generator, stream

Rate = Annotated[float, Field(gt=0, le=1)]


class LearnerSettings(Settings):
    """What every learner of section V shares, with Table II's values.

    Attributes:
        gamma: discount factor.
        batch_size: tuples in a mini-batch Lambda.
        replay_size: tuples in the replay memory Omega.
        device: where the networks live, such as "cpu" or "cuda".
        precision: of the matrix products of an update; weights and optimisers are always float32.
    """

    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.99
    batch_size: Whole = 64
    replay_size: Whole = 3000
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replay_size < self.batch_size:
            raise ValueError(
                f"replay_size = {self.replay_size} is not allowed: it should be at least batch_size = "
                f"{self.batch_size}, as nothing is learnt before there is a mini-batch"
            )
        return self


class Learner(Agent):
    """An agent that learns from every slot.

    A subclass fills `networks` and `optimisers` by name, and `replay`.
    """

    Settings: type[LearnerSettings]
    settings: LearnerSettings
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Adam]
    replay: Replay
    device: torch.device

    def __init__(self, scenario: Scenario, seed: int, refinement: Refinement | None) -> None:
        super().__init__(scenario, seed, refinement)
        self.encoder = Encoder(self.scenario)
        self.exploration = stream(self.seed, "exploration")

    @abstractmethod
    def explore(self, state: SystemState) -> Action:
        """A valid action with exploration, lines 5 and 6 of Algorithm 2."""

    @abstractmethod
    def remember(self, state: SystemState, action: Action, income: float, next_state: SystemState) -> None:
        """Stores the experience of a slot, line 8."""

    @abstractmethod
    def update(self, batch: Batch) -> None:
        """Learns from a mini-batch, lines 10 to 13."""

    def learn(self) -> None:
        """Samples a mini-batch and learns from it, once there is enough experience for one (A24), lines 9 to 13."""
        size, low = self.settings.batch_size, self.settings.precision == "bfloat16"
        if len(self.replay) < size:
            return
        with (
            torch.enable_grad(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=False),
        ):
            self.update(self.replay.sample(size))

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
        return {"exploration": generator_state(self.exploration), "replay": self.replay.position()}

    def restore(self, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
        """Goes back to a checkpoint of a learner with the same scenario and settings."""
        self.replay.restore(_under("replay", tensors), position["replay"])
        restore_generator(self.exploration, position["exploration"])
        for name, network in self.networks.items():
            network.load_state_dict(_under(f"network/{name}", tensors))
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, _under(f"adam/{name}", tensors))


def torch_device(name: str) -> torch.device:
    """A device by its name.

    Raises:
        SettingError: there is no such device here.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
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
