"""Floating-point operations of a training slot, counted from the sizes of the layers.

Counted are the matrix products that a slot of Algorithm 2 needs; an addition and a multiplication count as two. Biases,
activations, optimisers and the steps towards the target networks count nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mecsim.agents import agent_class
from mecsim.experiments.runs import Run
from mecsim.mdp import Encoder


def into_slot_flops(actor: Sequence[int], critic: Sequence[int], batch: int) -> int:
    """A slot of INTO.

    Args:
        actor: sizes of the actor's layers, from the state to the action.
        critic: sizes of the critic's layers, from state and action to 1.
        batch: tuples in a mini-batch.
    """
    phi, q = products(actor), products(critic)
    phi_inner, q_inner = phi - products(actor[:2]), q - products(critic[:2])  # without the first layer
    to_action = actor[-1] * critic[1]
    target = phi + q  # line 10 of Algorithm 2
    critic_step = (
        q + q + q_inner
    )  # line 11: forward; gradients of the weights and of what enters the later layers
    actor_step = (
        phi + (q + q_inner + to_action) + (phi + phi_inner)
    )  # line 12: on through Q to the action, and back
    return 2 * batch * (target + critic_step + actor_step) + 2 * phi  # and line 5 for one state


def products(sizes: Sequence[int]) -> int:
    """Multiplications of one vector's way through layers of the given sizes."""
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def network_sizes(run: Run) -> tuple[tuple[int, ...], ...]:
    """Sizes of the layers of each network, inputs first: the one that decides, and INTO's critic; of a rule, none."""
    kind, encoder = agent_class(run.agent), Encoder(run.scenario())
    if not hasattr(kind, "Settings"):
        return ()
    settings, states, actions = kind.Settings(**run.settings), encoder.state_size, encoder.action_size
    if run.agent == "DDQN":
        scenario = encoder.scenario
        return ((states, *settings.hidden, scenario.n_devices * (1 + scenario.n_bs)),)
    return (states, *settings.actor_hidden, actions), (states + actions, *settings.critic_hidden, 1)
