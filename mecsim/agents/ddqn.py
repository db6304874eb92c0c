"""DDQN: double deep Q-learning (section V-B), with one head per device (A15)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from mecsim.agents.base import Offer
from mecsim.agents.learner import Learner, LearnerSettings, Rate
from mecsim.agents.networks import descend, follow, freeze, make_optimiser, mlp, seeded
from mecsim.agents.replay import Batch, Replay
from mecsim.refinement import Refinement, refine_discrete
from mecsim.scenario import Positive, Scenario, ScenarioStack
from mecsim.settings import Hidden, Whole
from mecsim.system import Action, SystemState

Probability = Annotated[float, Field(ge=0, le=1)]


class DDQNSettings(LearnerSettings):
    """Section V-B, and what it leaves open.

    Attributes:
        hidden: neurons in each hidden layer.
        learning_rate: of Adam.
        update_rate: of the target network.
        first_epsilon, last_epsilon, epsilon_slots: a random choice is made with a probability that falls linearly from
            the first to the last value over so many slots (A25).
        stored_action: does the replay memory keep what was executed, or what was chosen before Algorithm 1 discarded
            tasks (A37)?
    """

    hidden: Hidden = (1000, 600)
    learning_rate: Positive = 1e-3
    update_rate: Rate = 1e-3
    first_epsilon: Probability = 1.0
    last_epsilon: Probability = 0.05
    epsilon_slots: Whole = 1000
    stored_action: Literal["executed", "chosen"] = "executed"


class DDQN(Learner):
    """Double DQN over the joint action, whose value is the sum of one head per device.

    The joint action set has (1 + N)^U members, 4^165 at the paper's size. With Q(s, a) = sum_j q_j(s, a_j) the best
    joint action is the best choice of every head, and the double DQN target is exact for this Q (A15). A choice is to
    discard the task (0) or to compute it on BS k (k = 1..N); Algorithm 1 makes it valid, as for INTO.
    """

    vectorized = True
    Settings = DDQNSettings

    def __init__(
        self,
        scenario: Scenario | ScenarioStack | Sequence[Scenario],
        seed: int | Sequence[int] = 0,
        refinement: Refinement | None = None,
        settings: DDQNSettings | Sequence[DDQNSettings] | None = None,
    ) -> None:
        super().__init__(scenario, seed, refinement, settings)
        self._choices = 1 + self.scenario.n_bs
        states, devices, known = self.encoder.state_size, self.scenario.n_devices, self.settings
        sizes = (states, *known.hidden, devices * self._choices)
        (self.q,) = seeded(self.seed, lambda: [mlp(sizes)], self.device)
        self.target_q = deepcopy(self.q)
        freeze((self.target_q,))
        self.networks = {"q": self.q, "target_q": self.target_q}
        self.optimisers = {"q": make_optimiser(self.q, known.learning_rate)}
        self.replay = Replay(known.replay_size, states, devices, self.seed, self.device, torch.int64)
        self._explored = 0
        self._choice: Any = np.empty(0, np.int64)

    def act(self, state: SystemState) -> Action:
        return refine_discrete(self.scenario, state, self._best(state) - 1, self.refinement)

    def offers(self, state: SystemState) -> list[Offer]:
        return [Offer(self._best(state) - 1)]

    def explore(self, state: SystemState) -> Action:
        devices = self.scenario.n_devices
        random = self.exploration.each(lambda draws: draws.random(devices)) < self.epsilon
        chance = self.exploration.each(lambda draws: draws.integers(self._choices, size=devices))
        self._choice = np.where(random, chance, self._best(state))
        return refine_discrete(self.scenario, state, self._choice - 1, self.refinement)

    @property
    def epsilon(self) -> float:
        """The probability of a random choice now."""
        settings = self.settings
        done = min(self._explored / settings.epsilon_slots, 1.0)
        return settings.first_epsilon + done * (settings.last_epsilon - settings.first_epsilon)

    def remember(self, state: SystemState, action: Action, income: Any, next_state: SystemState) -> None:
        executed = self.settings.stored_action == "executed"
        stored = action.placement + 1 if executed else self._choice
        self._explored += 1
        self.replay.store(self.vector(state), stored, self.reward(income), self.vector(next_state))

    def update(self, batch: Batch) -> None:
        with torch.no_grad():
            best = self._heads(self.q, batch.next_state).argmax(dim=-1)
            target = batch.reward + self.gamma * self._joint(self.target_q, batch.next_state, best)
        loss = nn.functional.mse_loss(self._joint(self.q, batch.state, batch.action), target)
        descend(loss, self.q, self.optimisers["q"])
        if self.targets_follow:
            follow(self.target_q, self.q, self.settings.update_rate)

    def position(self) -> dict:
        return {**super().position(), "explored": self._explored}

    def restore(self, tensors: dict[str, Tensor], position: dict) -> None:
        super().restore(tensors, position)
        self._explored = position["explored"]

    @torch.no_grad()
    def _best(self, state: SystemState) -> np.ndarray:
        """The best choice of every head, from 0, (..., n_devices)."""
        heads = self._heads(self.q, self.inputs(state))
        best = self.sound(heads, state).argmax(dim=-1)
        return best.reshape((*state.energy_j.shape[:-1], -1)).cpu().numpy()

    def _heads(self, network: nn.Module, states: Tensor) -> Tensor:
        return network(states).unflatten(-1, (-1, self._choices))

    def _joint(self, network: nn.Module, states: Tensor, choices: Tensor) -> Tensor:
        """Q(s, a) of a batch of joint actions, (..., batch)."""
        return self._heads(network, states).gather(-1, choices.unsqueeze(-1)).sum(dim=(-2, -1))
