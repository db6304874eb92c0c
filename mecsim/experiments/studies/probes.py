"""What a critic says that the offer of a task is worth, next to what it is worth in the twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from mecsim.agents.into import INTO
from mecsim.agents.networks import constant
from mecsim.mdp import DEVICE_FEATURES
from mecsim.physics import Array, Bools
from mecsim.refinement import ProtoAction, Refinement, line_1, refine
from mecsim.scenario import Scenario
from mecsim.system import SystemState, outcome

ROUNDING = 1e-9
"""Standard deviation, of rewards near 1 and of counts, that may be nothing but rounding."""


class Truth(NamedTuple):
    """What it does in a slot to offer one task, all other devices as they are; arrays (..., n_devices).

    Attributes:
        effect: the income with the task on offer (x = 1) less that without (x = 0).
        kept: does Algorithm 1 keep the task where it is on offer?
    """

    effect: Array
    kept: Bools


def truth(
    scenario: Scenario, state: SystemState, proto: ProtoAction, refinement: Refinement | None = None
) -> Truth:
    """Sets the x of one device at a time to 1 and to 0, and carries both out in one known state.

    Args:
        scenario: parameters of the system.
        state: what is known of the current slot.
        proto: the proto-action of all devices.
        refinement: what the paper leaves open in Algorithm 1.
    """
    n = scenario.n_devices
    others = {
        name: np.broadcast_to(part, (n, *part.shape))
        for name, part in proto._asdict().items()
        if part is not None
    }
    offers = [{**others, "offload": np.where(np.eye(n, dtype=bool), x, proto.offload)} for x in (1.0, 0.0)]
    on, off = (refine(scenario, state, ProtoAction(**offer), refinement) for offer in offers)
    earned, without = (np.asarray(outcome(scenario, state, action).income) for action in (on, off))
    return Truth(earned - without, on.offload.diagonal())


class Slopes(NamedTuple):
    """The critic's slope in each entry of an action vector, and its value, in units of income.

    Attributes:
        offload: dQ/dx, (batch, n_devices).
        peer: dQ/dy, (batch, n_devices * n_bs).
        cpu_share: dQ/df, (batch, n_devices * n_bs).
        value: Q, (batch,).
    """

    offload: Array
    peer: Array
    cpu_share: Array
    value: Array


def slopes(agent: INTO, states: Tensor, actions: Tensor) -> Slopes:
    """The critic's slopes at some actions.

    Args:
        agent: whose critic.
        states: state vectors, (batch, state_size).
        actions: action vectors, (batch, action_size).
    """
    n, k = agent.scenario.n_devices, agent.scenario.n_bs
    actions = actions.detach().clone().requires_grad_()
    with constant(agent.critic):
        value = agent.critic(states, actions)
        (gradient,) = torch.autograd.grad(value.sum(), actions)
    parts = (*torch.split(gradient, [n, n * k, n * k], dim=1), value.detach())
    return Slopes(*(part.cpu().numpy().astype(float) / agent.encoder.reward_scale for part in parts))


def probe(agent: INTO, states: Sequence[SystemState]) -> dict[str, float]:
    """What the actor puts out in some states, the critic's slopes there, and the truth next to them.

    It draws nothing and changes nothing.

    Args:
        agent: the agent.
        states: states of its scenario.

    Returns:
        Metrics by name, see `mecsim.experiments.studies.drift.measure_drift`.
    """
    vectors = torch.cat([agent.inputs(state) for state in states])
    with torch.no_grad():
        outputs = agent.actor(vectors)
    slope = slopes(agent, vectors, outputs)
    protos = [agent.proto_action(state) for state in states]
    pairs = zip(states, protos, strict=True)
    truths = [truth(agent.scenario, state, proto, agent.refinement) for state, proto in pairs]
    effect, kept = map(np.stack, zip(*truths, strict=True))
    return {
        **_offers(protos),
        "kept": kept.mean(),
        "Q": slope.value.mean(),
        **_with_sign("dQ/dx", slope.offload),
        **_with_sign("dQ/dx, kept", slope.offload[kept]),
        **_with_sign("dQ/dx, discarded", slope.offload[~kept]),
        **_with_sign("dQ/dy", slope.peer),
        **_with_sign("dQ/df", slope.cpu_share),
        **_with_both_signs("effect", effect),
        **_with_both_signs("effect, kept", effect[kept]),
        **_with_both_signs("effect, discarded", effect[~kept]),
        **_agreement(slope.offload.ravel(), effect.ravel()),
    }


def probe_replay(agent: INTO, count: int) -> dict[str, float]:
    """The critic's slopes at the latest actions of the replay memory, and how x and reward go together in all of it.

    It draws nothing and changes nothing.

    Args:
        agent: the agent; its memory holds at least one tuple.
        count: how many of the latest tuples the slopes are taken at, at most.

    Returns:
        Metrics by name, see `mecsim.experiments.studies.drift.measure_drift`.
    """
    memory, place, n = agent.replay.tensors(), agent.replay.position(), agent.scenario.n_devices
    rows = (place["head"] - 1 - np.arange(place["length"])) % (agent.replay.capacity + 1)
    states, actions = (memory[name][rows[:count]] for name in ("states", "actions"))
    features, offered, rewards = (
        part.cpu().numpy().astype(float)
        for part in (
            memory["states"][rows, : DEVICE_FEATURES * n].unflatten(1, (DEVICE_FEATURES, n)).mean(dim=2),
            memory["actions"][rows, :n].sum(dim=1),
            memory["rewards"][rows],
        )
    )
    left = (_unexplained(values, features) for values in (offered, rewards))
    return {
        **_with_sign("dQ/dx, stored", slopes(agent, states, actions).offload),
        **_correlation("x and reward", offered, rewards),
        **_correlation("x and reward, given the state", *left),
    }


def _offers(protos: Sequence[ProtoAction]) -> dict[str, float]:
    offload = np.stack([proto.offload for proto in protos])
    return {
        "x": offload.mean(),
        "x > 1/2": (offload > 0.5).mean(),
        "largest y": float(np.mean([proto.peer.max(axis=1) for proto in protos])),
        "f": float(np.mean([proto.cpu_share for proto in protos])),
        "offered": float(np.mean([line_1(proto) >= 0 for proto in protos])),
    }


def _with_sign(name: str, values: Array) -> dict[str, float]:
    """The mean and the share above 0; nothing where there are no values."""
    return {name: values.mean(), f"{name} > 0": (values > 0).mean()} if values.size else {}


def _with_both_signs(name: str, values: Array) -> dict[str, float]:
    """The mean and the shares above and below 0; nothing where there are no values."""
    below = {f"{name} < 0": (values < 0).mean()} if values.size else {}
    return {**_with_sign(name, values), **below}


def _agreement(slope: Array, effect: Array) -> dict[str, float]:
    """How well slopes tell effects: by sign where there is an effect, and by rank; nothing where none vary."""
    felt, found = effect != 0, {}
    if felt.any():
        found["same sign"] = (np.sign(slope[felt]) == np.sign(effect[felt])).mean()
    if np.ptp(slope) and np.ptp(effect):
        found["rank correlation"] = stats.spearmanr(slope, effect)[0]
    return found


def _correlation(name: str, one: Array, other: Array) -> dict[str, float]:
    """Pearson's correlation; nothing where one side varies by no more than rounding."""
    if min(np.std(one), np.std(other)) <= ROUNDING:
        return {}
    return {name: np.corrcoef(one, other)[0, 1]}


def _unexplained(values: Array, features: Array) -> Array:
    """What a linear regression on some features, (count, n_features), leaves of some values, (count,)."""
    columns = np.column_stack((np.ones(len(values)), features))
    return values - columns @ np.linalg.lstsq(columns, values)[0]
