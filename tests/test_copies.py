"""Whatever is kept, sent to a process or copied goes on with the same bits; environments are in `test_env.py`."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from worlds import TINY, random_placement, random_state, small_agent

from mecsim.agents import AGENTS, Agent
from mecsim.agents.learner import Learner
from mecsim.refinement import Refinement, discards
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.system import PhysicalSystem
from mecsim.training import rollout, train
from mecsim.twin import Deviation, DigitalTwin

WORLD = TINY.replace(fading="ar1")
STACK = ScenarioStack([WORLD, WORLD.replace(cpu_hz=1e9)])
NOISY = Deviation(gain_noise=0.2, update_every=3, outdated={"cpu_hz": 4e9})


def arrays(record: Any) -> list[bytes]:
    """The bits of a dataclass or named tuple."""
    return [
        np.asarray(value).tobytes()
        for value in (record if isinstance(record, tuple) else vars(record).values())
    ]


def lived(system: PhysicalSystem | DigitalTwin) -> list[bytes]:
    """A few slots of a system."""
    return arrays(rollout(small_agent("all-on", system.scenario), system, 3))


def decided(agent: Agent) -> list[bytes]:
    """A few slots of an agent."""
    return arrays(rollout(agent, PhysicalSystem(WORLD, 2), 3))


def learnt(learner: Learner) -> list[bytes]:
    """A few slots of training, and all that is known after them."""
    incomes = train(learner, DigitalTwin(WORLD, 1), 12, progress=False)
    return [incomes.tobytes(), *(tensor.numpy().tobytes() for tensor in learner.tensors().values())]


def small_learner(name: str) -> Agent:
    agent = small_agent(name, WORLD, 3)
    agent.settings = agent.settings.replace(batch_size=4)
    return agent


MADE: dict[str, tuple[Callable[[], Any], Callable[..., list[bytes]]]] = {
    "system": (lambda: PhysicalSystem(WORLD, 1), lived),
    "fleet": (lambda: PhysicalSystem(WORLD, [1, 2]), lived),
    "fleet of scenarios": (lambda: PhysicalSystem(STACK, [1, 2]), lived),
    "twin": (lambda: DigitalTwin(WORLD, 1, NOISY), lived),
    "twins": (lambda: DigitalTwin(STACK, 1, NOISY), lived),
    "state": (lambda: random_state(TINY, 1), arrays),
    "rollout": (lambda: rollout(small_agent("OLNPO", TINY), PhysicalSystem(TINY), 2), arrays),
    "discards": (lambda: discards(TINY, random_state(TINY, 1), random_placement(TINY, 1)), arrays),
    "outcome": (
        lambda: DigitalTwin(TINY).what_if(small_agent("OLNPO", TINY).act(DigitalTwin(TINY).state)),
        arrays,
    ),
    "stack": (lambda: STACK, lambda stack: lived(PhysicalSystem(stack, 5))),
    "scenario": (lambda: Scenario(cpu_hz=1e9), lambda scenario: lived(PhysicalSystem(scenario, 5))),
    "settings": (lambda: Refinement(cpu="actor"), lambda settings: [str(settings).encode()]),
    **{name: (partial(small_agent, name, WORLD, 3), decided) for name in AGENTS},
    **{f"{name} in training": (partial(small_learner, name), learnt) for name in ("INTO", "DDQN")},
}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@pytest.mark.parametrize("kind", MADE)
def test_a_copy_goes_on_with_the_same_bits(kind, copied) -> None:
    make, go_on = MADE[kind]
    made = make()
    fresh = copied(made)
    assert go_on(fresh) == go_on(made)
    under_way = copied(made)
    assert go_on(under_way) == go_on(made)
