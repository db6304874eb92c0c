"""INTO: the paper's intelligent task offloading, DDPG with Algorithm 1 (Algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from mecsim.agents.base import Offer
from mecsim.agents.learner import Learner, LearnerSettings, Rate
from mecsim.agents.networks import (
    Critic,
    constant,
    descend,
    follow,
    freeze,
    make_optimiser,
    mlp,
    seeded,
)
from mecsim.agents.replay import Batch, Replay
from mecsim.mdp import Vector
from mecsim.refinement import ProtoAction, Refinement, line_1, refine
from mecsim.scenario import NonNegative, Positive, Scenario, ScenarioStack
from mecsim.settings import Hidden
from mecsim.system import Action, SystemState


class INTOSettings(LearnerSettings):
    """Table II, and what it leaves open.

    Attributes:
        actor_hidden, critic_hidden: neurons in each hidden layer.
        actor_learning_rate, critic_learning_rate: alpha_phi of (20) and alpha_Q of (19).
        actor_update_rate, critic_update_rate: eps_2 of (22) and eps_1 of (21).
        noise: standard deviation of the exploration noise eta (A12).
        stored_action: does the replay memory keep the executed action or the proto-action (A11)?
        peer_offloading: may a task go to another BS than its own? Left out to measure what it is worth.
    """

    actor_hidden: Hidden = (3000, 1000)
    critic_hidden: Hidden = (1500, 600)
    actor_learning_rate: Positive = 1e-4
    critic_learning_rate: Positive = 1e-4
    actor_update_rate: Rate = 1e-3
    critic_update_rate: Rate = 1e-3
    noise: NonNegative = 0.1
    stored_action: Literal["executed", "proto"] = "executed"
    peer_offloading: bool = True


class INTO(Learner):
    """Algorithm 2. Before its first update it is the control "untrained actor with Algorithm 1".

    Args:
        scenario: the system as the agent knows it; one, or one for each member of a stack.
        seed: seed of the streams "networks", "exploration" and "batches"; one, or one for each member of a stack.
        refinement: what the paper leaves open in Algorithm 1.
        settings: Table II; one record, or one for each member of a stack.
    """

    vectorized = True
    Settings = INTOSettings

    def __init__(
        self,
        scenario: Scenario | ScenarioStack | Sequence[Scenario],
        seed: int | Sequence[int] = 0,
        refinement: Refinement | None = None,
        settings: INTOSettings | Sequence[INTOSettings] | None = None,
    ) -> None:
        super().__init__(scenario, seed, refinement, settings)
        states, actions, known = self.encoder.state_size, self.encoder.action_size, self.settings

        def make() -> tuple[nn.Sequential, Critic]:
            actor = mlp((states, *known.actor_hidden, actions), nn.Sigmoid())
            return actor, Critic(states, actions, known.critic_hidden)

        self.actor, self.critic = seeded(self.seed, make, self.device)
        self.target_actor, self.target_critic = deepcopy(self.actor), deepcopy(self.critic)
        freeze((self.target_actor, self.target_critic))
        self.networks = {
            "actor": self.actor,
            "critic": self.critic,
            "target_actor": self.target_actor,
            "target_critic": self.target_critic,
        }
        self.optimisers = {
            "actor": make_optimiser(self.actor, known.actor_learning_rate),
            "critic": make_optimiser(self.critic, known.critic_learning_rate),
        }
        self.replay = Replay(known.replay_size, states, actions, self.seed, self.device)
        self._proto: Any = np.empty(0, np.float32)

    def act(self, state: SystemState) -> Action:
        return refine(self.scenario, state, self.proto_action(state), self.refinement)

    def offers(self, state: SystemState) -> list[Offer]:
        proto = self.proto_action(state)
        return [Offer(line_1(proto), proto.cpu_share)]

    def explore(self, state: SystemState) -> Action:
        size = self.encoder.action_size
        noise = self.exploration.each(lambda draws: draws.standard_normal(size, dtype=np.float32))
        self._proto = self._actor_output(state)[0] + np.float32(self.settings.noise) * noise
        return refine(self.scenario, state, self.explored(), self.refinement)

    def explored(self) -> ProtoAction:
        """The proto-action of the last `explore`, with its noise."""
        return self._allowed(self.encoder.proto(self._proto))

    def proto_action(self, state: SystemState) -> ProtoAction:
        """phi(s | theta_phi), the actor's output before noise and refinement.

        A trained actor's y are often 1 but for rounding; what enters the sigmoid keeps them apart.
        """
        output, before_sigmoid = self._actor_output(state)
        proto = self.encoder.proto(output)._replace(order=self.encoder.proto(before_sigmoid).peer)
        return self._allowed(proto)

    def _allowed(self, proto: ProtoAction) -> ProtoAction:
        """The proto-action without the choices that the settings leave out."""
        if self.settings.peer_offloading:
            return proto
        own = self.scenario.cell[:, None] == np.arange(self.scenario.n_bs)
        return proto._replace(peer=np.where(own, proto.peer, -np.inf), order=None)

    @torch.no_grad()
    def _actor_output(self, state: SystemState) -> tuple[Vector, Vector]:
        """The action vector, and what enters the sigmoid of its last layer; leading axes of the state stay."""
        before = self.sound(self.actor[:-1](self.inputs(state)), state)
        after, shape = self.actor[-1](before), (*state.energy_j.shape[:-1], -1)
        return after.reshape(shape).cpu().numpy(), before.reshape(shape).cpu().numpy()

    def remember(self, state: SystemState, action: Action, income: Any, next_state: SystemState) -> None:
        executed = self.settings.stored_action == "executed"
        stored = self.encoder.executed(action, state.cpu_hz) if executed else self._proto
        self.replay.store(self.vector(state), stored, self.reward(income), self.vector(next_state))

    def update(self, batch: Batch) -> None:
        settings = self.settings
        with torch.no_grad():  # line 10: rho = r + gamma Q'(s', phi'(s'))
            next_value = self.target_critic(batch.next_state, self.target_actor(batch.next_state))
            rho = batch.reward + self.gamma * next_value

        loss = nn.functional.mse_loss(self.critic(batch.state, batch.action), rho)  # line 11: (19)
        descend(loss, self.critic, self.optimisers["critic"])

        with constant(self.critic):
            value = self.critic(batch.state, self.actor(batch.state)).mean()  # line 12: (20)
            descend(-value, self.actor, self.optimisers["actor"])

        if self.targets_follow:  # line 13, in every slot by default (A34)
            follow(self.target_critic, self.critic, settings.critic_update_rate)  # (21)
            follow(self.target_actor, self.actor, settings.actor_update_rate)  # (22)
