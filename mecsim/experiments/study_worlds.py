"""What the studies of Algorithm 1 refine: proto-actions of several kinds, and states that the system meets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np

from mecsim.agents import make_agent
from mecsim.refinement import ProtoAction
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem, SystemState, stream
from mecsim.training import states_met

KINDS = ("uniform", "noisy", "everything on")
WARM_UP = 20
"""Slots under all-on before the first state, in which the energy queues fill and are drawn on."""


def proto_actions(scenario: Scenario, seed: int) -> Iterator[ProtoAction]:
    """Proto-actions without end, of each kind in turn; the same seed gives the same ones."""
    rng = stream(seed, "exploration")
    for kind in cycle(KINDS):
        yield proto_action(kind, scenario, rng)


def proto_action(kind: str, scenario: Scenario, rng: np.random.Generator) -> ProtoAction:
    """A random proto-action: uniform over [0, 1], noisy about 0.8 and beyond 1, or everything between 0.9 and 1."""
    n, k = scenario.n_devices, scenario.n_bs
    shapes = (n,), (n, k), (n, k)
    if kind == "noisy":
        return ProtoAction(*(rng.normal(0.8, 0.3, shape) for shape in shapes))
    low = 0.9 if kind == "everything on" else 0.0
    return ProtoAction(*(rng.uniform(low, 1.0, shape) for shape in shapes))


def warm_states(scenario: Scenario, seed: int, count: int) -> Iterator[SystemState]:
    """The states of successive slots of a system under all-on, after `WARM_UP` slots."""
    states = states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, seed))
    return islice(states, WARM_UP, WARM_UP + count)
