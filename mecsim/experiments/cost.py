"""What a run costs: an estimate of its seconds on one thread of this machine, before it is computed.

A slot in which a learner trains takes the time of its matrix products, which is counted, and that of all the rest,
which is much the same at every size. Two rates are measured in a fraction of a second: that of the products, and that
of a slot of the system that a rule decides. The constants below turn them into the time of a slot. They come from the
training slots of INTO and DDQN at 66 and 165 devices and from 0.8 to 11 million weights, on two cores of an AMD EPYC,
where the estimate is within 5 % of the processor time. There a run of INTO with Table II takes 110 s and a run of DDQN
30 s; with something else running beside them, 95 to 115 s and 30 to 60 s by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch

from mecsim.agents import agent_class, make_agent
from mecsim.agents.networks import Linear
from mecsim.experiments.flops import ddqn_slot_flops, into_slot_flops, products
from mecsim.experiments.runs import Run
from mecsim.mdp import Encoder
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

PRODUCTS_SHARE = 0.6
"""Share of the products in the part of a training slot that grows with the networks; the optimisers have the rest."""

LEARNING_SLOTS = 7.4
"""The part of a training slot that does not grow with the networks, in slots that a rule decides."""

EVALUATED_SLOTS = 2.0
"""A slot of the evaluation, in slots that a rule decides: the agent's own, and one that leads to a reference state."""

ALONE = 20
"""A vector that goes through a network alone waits for the weights, as long as so many of a mini-batch take."""

REPEATS = 5


class Machine(NamedTuple):
    """How fast one thread of a machine is.

    Attributes:
        flop_per_s: floating-point operations a second in the products of a mini-batch.
        slot_s: seconds of a slot of the paper's system that a rule decides.
    """

    flop_per_s: float
    slot_s: float


def probe() -> Machine:
    """Measures this machine, in a fraction of a second."""
    layer, batch = Linear(1000, 3000), torch.rand(64, 1000)
    scenario = Scenario()
    control, plant = make_agent("all-on", scenario), PhysicalSystem(scenario, seed=0)
    with _one_thread(), torch.no_grad():
        product_s = _median_s(lambda: layer(batch), calls=5)
        slot_s = _median_s(lambda: rollout(control, plant, 10), calls=1) / 10
    return Machine(2 * len(batch) * layer.weight.numel() / product_s, slot_s)


def cost_s(run: Run, machine: Machine) -> float:
    """Seconds that a run takes on one thread of a machine, about."""
    sizes = network_sizes(run)
    slot_s = (
        _training_flops(run, sizes) / (PRODUCTS_SHARE * machine.flop_per_s) + LEARNING_SLOTS * machine.slot_s
    )
    alone_s = 2 * ALONE * products(sizes[0]) / machine.flop_per_s if sizes else 0.0
    return run.slots * slot_s + run.evaluation_slots * (alone_s + EVALUATED_SLOTS * machine.slot_s)


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


def _training_flops(run: Run, sizes: tuple[tuple[int, ...], ...]) -> int:
    """Operations of a training slot, 0 where nothing is trained."""
    if not run.slots:
        return 0
    batch = agent_class(run.agent).Settings(**run.settings).batch_size
    return ddqn_slot_flops(*sizes, batch) if run.agent == "DDQN" else into_slot_flops(*sizes, batch)


def _median_s(work: Callable[[], object], calls: int) -> float:
    """Seconds of a call; the first ones, which choose kernels and fill caches, do not count."""
    work()
    return median(_seconds(work, calls) for _ in range(REPEATS))


def _seconds(work: Callable[[], object], calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        work()
    return (perf_counter() - start) / calls


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
