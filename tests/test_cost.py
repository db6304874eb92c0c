"""What a run is expected to cost."""

import math
from itertools import pairwise

import pytest
import torch
from mecsim.experiments.cost import Machine, cost_s, network_sizes, probe
from mecsim.experiments.flops import ddqn_slot_flops
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mecsim.experiments.runs import Run

TINY = {
    "INTO": {"actor_hidden": (9, 8), "critic_hidden": (6, 4), "batch_size": 5},
    "DDQN": {"hidden": (9, 8), "batch_size": 5},
}
HERE = Machine(flop_per_s=195e9, slot_s=0.64e-3)


@pytest.mark.parametrize(("agent", "networks"), [("INTO", ("actor", "critic")), ("DDQN", ("q",))])
def test_the_sizes_are_those_of_the_networks(agent, networks) -> None:
    run = Run(agent=agent, settings=TINY[agent])
    learner = run.make_agent()
    for name, sizes in zip(networks, network_sizes(run), strict=True):
        weights = [tuple(part.shape) for part in learner.networks[name].parameters() if part.dim() == 2]
        assert weights == [(outputs, inputs) for inputs, outputs in pairwise(sizes)]


def test_a_rule_has_no_network() -> None:
    assert network_sizes(Run(agent="OLNPO", slots=0)) == ()


def test_the_flops_of_ddqn_are_those_that_pytorch_counts() -> None:
    sizes, batch = (7, 9, 8, 6), 5
    q, target_q = (
        nn.Sequential(*(part for ends in pairwise(sizes) for part in (nn.Linear(*ends), nn.ReLU())))
        for _ in range(2)
    )
    states, next_states = torch.rand(batch, 7), torch.rand(batch, 7)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            q(torch.rand(1, 7))
            value = q(next_states) + target_q(next_states)
        (q(states) - value).square().mean().backward()
    assert counter.get_total_flops() == ddqn_slot_flops(sizes, batch)


def test_the_cost_by_hand() -> None:
    # 2 devices and 2 BSs: a state of 6 x 2 + 2 + 2 = 16 numbers, 2 x 3 choices; 16 x 9 + 9 x 8 + 8 x 6 = 264 weights.
    run = Run(
        agent="DDQN",
        changes={"devices": (1, 1), "cpu_hz": (5e9, 5e9)},
        settings=TINY["DDQN"],
        slots=100,
        evaluation_slots=10,
    )
    flops = 2 * 5 * (4 * 264 + 264 - 16 * 9) + 2 * 264
    training_s = 100 * (flops / (0.6 * 1e6) + 7.4 * 1e-3)
    evaluation_s = 10 * (2 * 20 * 264 / 1e6 + 2.0 * 1e-3)
    assert cost_s(run, Machine(1e6, 1e-3)) == pytest.approx(training_s + evaluation_s)


@pytest.mark.parametrize("agent", ["INTO", "untrained"])
def test_what_is_not_trained_costs_its_evaluation_alone(agent) -> None:
    costs = [cost_s(Run(agent=agent, slots=0, evaluation_slots=slots), HERE) for slots in (100, 200)]
    assert costs[0] > 0
    assert costs[1] == pytest.approx(2 * costs[0])


@pytest.mark.parametrize(
    ("agent", "slots", "low", "high"),
    [("INTO", 2000, 95, 115), ("DDQN", 2000, 25, 35), ("LPWPO", 0, 0.1, 2)],
)
def test_the_runs_of_the_paper_cost_what_they_took_where_the_constants_come_from(
    agent, slots, low, high
) -> None:
    assert low < cost_s(Run(agent=agent, slots=slots), HERE) < high


def test_the_probe_measures_and_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        machine = probe()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert 0 < machine.flop_per_s < math.inf
    assert 0 < machine.slot_s < math.inf
