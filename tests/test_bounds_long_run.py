"""The long-run bound: above every sequence of decisions on tiny worlds, and above every policy on larger ones."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from mecsim import physics
from mecsim.agents import Agent, make_agent
from mecsim.bounds import idle_states, long_run_bound, per_slot_bounds
from mecsim.bounds.demands import Demands
from mecsim.bounds.long_run import slots_bound, stacked
from mecsim.reference.lookup import every_placement
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, SystemState, feasible, uplink
from mecsim.training import rollout, states_met

TINY = Scenario(
    devices=(2, 1), cpu_hz=(3e9, 1e9), mean_gain=0.2, initial_energy_j=0.01, harvest_w=(2e-4, 4e-4)
)
SMALL = Scenario(devices=(4, 6, 8), cpu_hz=(7e8,), initial_energy_j=0.01)


def best_path(scenario: Scenario, states: list[SystemState], energy_j: np.ndarray | None = None) -> float:
    """The most that any sequence of feasible decisions earns in all: every one of them is tried."""
    if not states:
        return 0.0
    energy_j = states[0].energy_j if energy_j is None else energy_j
    state = replace(states[0], energy_j=energy_j)
    tried = np.concatenate(list(every_placement(scenario)))
    tried = tried[feasible(scenario, state, tried)]
    spent = uplink(scenario, state, tried >= 0).energy_j
    best, senders = 0.0, tried >= 0
    _, first = np.unique(senders, axis=0, return_index=True)  # the same transmitters leave the same queues
    for sending, spends in zip(senders[first], spent[first], strict=True):
        left = physics.next_energy_j(energy_j, state.harvest_j, spends, scenario.battery_j)
        best = max(best, float(state.award[sending].sum()) + best_path(scenario, states[1:], left))
    return best


class Optimal(Agent):
    """Takes nearly the best action of the slot, and thinks of no other."""

    def act(self, state: SystemState) -> Action:
        return per_slot_bounds(self.scenario, state).action


@pytest.mark.parametrize("alpha", [0.0, 0.03, 1.0])
def test_no_sequence_of_decisions_beats_it(alpha) -> None:
    nearest, sparse = [], []
    for seed in range(12):
        changes = {"interference": alpha, "battery_j": (np.inf, 0.012)[seed % 2]}
        scenario = TINY.replace(**changes, tau_s=(3.0, 6.0)[seed % 3 == 0])
        states = idle_states(scenario, seed, 4)
        best = best_path(scenario, states) / 4
        bound = long_run_bound(scenario, states)
        assert best <= bound.income
        nearest.append(bound.income / best)
        sparse.append(bound.price_per_j.any())
    assert np.mean(nearest) < 1.5  # it is a bound that says something
    assert any(sparse)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"interference": 1.0, "mean_gain": 0.2, "devices": (3, 4, 5)},
        {"battery_j": 0.02},
        {"links": "line"},
    ],
)
def test_no_policy_beats_it(changes) -> None:
    scenario, slots = SMALL.replace(**changes), 8
    bound = long_run_bound(scenario, idle_states(scenario, 5, slots), iterations=30)
    agents = [
        make_agent(name, scenario) for name in ("all-on", "OLNPO", "LPWPO", "greedy", "thrifty", "planner")
    ]
    earned = [
        rollout(agent, PhysicalSystem(scenario, 5), slots).income.mean()
        for agent in (*agents, Optimal(scenario))
    ]
    assert max(earned) <= bound.income
    assert bound.income <= 1.5 * max(earned)


@pytest.mark.parametrize("preset", ["calibrated", "printed"])
def test_no_agent_beats_it_at_the_papers_size(preset) -> None:
    scenario, slots = Scenario.preset(preset), 6
    bound = long_run_bound(scenario, idle_states(scenario, 3, slots), iterations=20)
    for name in ("all-on", "OLNPO", "greedy", "thrifty", "planner"):
        agent = make_agent(name, scenario)
        assert rollout(agent, PhysicalSystem(scenario, 3), slots).income.mean() <= bound.income


def test_where_energy_alone_is_scarce_it_is_what_each_device_can_buy_with_its_own() -> None:
    """Without interference and with CPU for all, each device fills its budget with the best award per joule."""
    scenario = SMALL.replace(interference=0.0, cpu_hz=1e12, initial_energy_j=0.06, harvest_w=1e-6)
    states = idle_states(scenario, 1, 30)
    budget = states[0].energy_j + sum(state.harvest_j for state in states[:-1])
    every = np.full(scenario.n_devices, True)
    needed = np.array([uplink(scenario, state, every).energy_j for state in states])
    demands = Demands(scenario, stacked(states))
    possible = np.isfinite(demands.at(np.zeros((30, 3))).cpu_hz).any(axis=-1)
    award = np.where(possible, demands.award, 0.0)
    total = 0.0
    for pays, costs, purse in zip(award.T, needed.T, budget, strict=True):
        order = np.argsort(-pays / costs)
        before = np.cumsum(costs[order]) - costs[order]
        total += float((pays[order] * np.clip((purse - before) / costs[order], 0.0, 1.0)).sum())
    bound, without = long_run_bound(scenario, states, 200), long_run_bound(scenario, states, 0)
    assert total / 30 <= bound.income * (1.0 + 1e-12)
    assert bound.income <= 1.01 * total / 30
    assert without.income > 1.2 * bound.income
    assert (bound.price_per_j > 0).any()


@pytest.mark.parametrize("alpha", [0.0, 0.03, 1.0])
def test_any_prices_give_a_bound(alpha) -> None:
    scenario = TINY.replace(interference=alpha)
    states = idle_states(scenario, 2, 3)
    best = best_path(scenario, states)
    budget = states[0].energy_j + sum(state.harvest_j for state in states[:-1])
    demands, rng = Demands(scenario, stacked(states)), np.random.default_rng(0)
    for _ in range(20):
        price_per_j = rng.exponential(rng.choice([1.0, 30.0, 300.0]), scenario.n_devices)
        cpu_price = rng.exponential(2e-9, len(states))
        bound = slots_bound(demands, np.arange(2), price_per_j, cpu_price).sum() + price_per_j @ budget
        assert best <= bound


@pytest.mark.parametrize(
    ("preset", "changes"), [("calibrated", {"interference": 0.0}), ("calibrated", {}), ("printed", {})]
)
def test_a_slot_s_bound_is_hardly_above_its_optimum(preset, changes) -> None:
    scenario = Scenario.preset(preset, **changes)
    met = states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, 7))
    states = list(islice(met, 28, 30))
    bounds = slots_bound(Demands(scenario, stacked(states)), np.arange(3), np.zeros(165), np.full(2, 2e-9))
    for state, bound in zip(states, bounds, strict=True):
        bracket = per_slot_bounds(scenario, state)
        assert bracket.lower <= bound <= 1.05 * bracket.lower


def test_bss_without_links_do_not_share_their_cpu() -> None:
    """Each cell alone in a world of its own earns at most what it does in one with others that it is not linked to."""
    scenario = SMALL.replace(devices=(2, 12), links=(), interference=0.0, initial_energy_j=10.0, cpu_hz=2e8)
    states = idle_states(scenario, 3, 6)
    apart = long_run_bound(scenario, states).income
    assert max(_best_of_cells(scenario, states)) <= apart
    joined = scenario.replace(links="all")
    assert apart < 0.97 * long_run_bound(joined, idle_states(joined, 3, 6)).income
    assert apart <= 1.1 * sum(_best_of_cells(scenario, states))


def _best_of_cells(scenario: Scenario, states: list[SystemState]) -> list[float]:
    """The mean income of each cell at the best actions of the slots, energy being no limit."""
    earned = np.zeros(scenario.n_bs)
    for state in states:
        taken = per_slot_bounds(scenario, state, gap=0.0).action.offload
        earned += physics.cell_sum(np.where(taken, state.award, 0.0), scenario.cell, scenario.n_bs)
    return (earned / len(states)).tolist()


def test_idle_states_are_the_world_that_every_policy_meets() -> None:
    states, system = idle_states(SMALL, 4, 5), PhysicalSystem(SMALL, 4)
    agent = make_agent("all-on", SMALL)
    for state in states:
        met = system.state
        for name in set(vars(met)) - {"energy_j", "rate_bps"}:
            assert np.array_equal(getattr(state, name), getattr(met, name)), name
        assert (met.energy_j <= state.energy_j).all()
        system.step(agent.act(met))


def test_without_any_energy_nothing_can_be_earned() -> None:
    scenario = Scenario(devices=(2, 2))
    assert long_run_bound(scenario, idle_states(scenario, 0, 1)).income == 0.0


def test_refuses_no_slots_and_negative_iterations() -> None:
    with pytest.raises(SettingError, match=r"states = \[\] is not allowed"):
        long_run_bound(TINY, [])
    states = idle_states(TINY, 0, 2)
    cut_off = replace(states[1], link_bps=np.zeros((2, 2)))
    with pytest.raises(SettingError, match=r"states\[1\].link_bps is not allowed: it should be that of"):
        long_run_bound(TINY, [states[0], cut_off])
    with pytest.raises(SettingError, match=r"iterations = -1 is not allowed"):
        long_run_bound(TINY, idle_states(TINY, 0, 1), iterations=-1)
