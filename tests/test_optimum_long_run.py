"""The long-run bound: above every sequence of decisions on tiny worlds, and above every policy on larger ones."""

from dataclasses import replace

import numpy as np
import pytest

from mecsim import physics
from mecsim.agents import Agent, make_agent
from mecsim.deployment import rollout
from mecsim.lookup import every_placement, feasible
from mecsim.optimum import idle_states, long_run_bound, per_slot_bounds
from mecsim.optimum.demands import Demands
from mecsim.optimum.long_run import slot_bound
from mecsim.outcome import uplink
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.state import Action, SystemState
from mecsim.system import PhysicalSystem

TINY = Scenario(
    devices=(2, 1), cpu_hz=(3e9, 1e9), mean_gain=0.2, initial_energy_j=0.01, harvest_w=(2e-4, 4e-4)
)
SMALL = Scenario(devices=(4, 6, 8), cpu_hz=7e8, initial_energy_j=0.01)


def best_path(scenario: Scenario, states: list[SystemState], energy_j: np.ndarray | None = None) -> float:
    """The most that any sequence of feasible decisions earns in all: every one of them is tried."""
    if not states:
        return 0.0
    energy_j = states[0].energy_j if energy_j is None else energy_j
    state = replace(states[0], energy_j=energy_j)
    tried = np.concatenate(list(every_placement(scenario)))
    tried = tried[feasible(scenario, state, tried)]
    spent = uplink(scenario, state, tried >= 0).energy_j
    best = 0.0
    kept = {}  # of placements with the same transmitters, which leave the same queues, the first will do
    for placement, spends in zip(tried, spent, strict=True):
        kept.setdefault((placement >= 0).tobytes(), (placement, spends))
    for placement, spends in kept.values():
        left = physics.next_energy_j(energy_j, state.harvest_j, spends, scenario.battery_j)
        earned = float(state.award[placement >= 0].sum())
        best = max(best, earned + best_path(scenario, states[1:], left))
    return best


class Optimal(Agent):
    """Takes the best action of the slot, and thinks of no other."""

    def act(self, state: SystemState) -> Action:
        return per_slot_bounds(self.scenario, state, gap=0.01).action


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
    "changes", [{}, {"interference": 1.0, "mean_gain": 0.2}, {"battery_j": 0.02}, {"links": "line"}]
)
def test_no_policy_beats_it(changes) -> None:
    scenario, slots = SMALL.replace(**changes), 12
    bound = long_run_bound(scenario, idle_states(scenario, 5, slots), iterations=30)
    agents = [make_agent(name, scenario) for name in ("all-on", "OLNPO", "LPWPO", "greedy")]
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
    for name in ("all-on", "OLNPO", "greedy"):
        agent = make_agent(name, scenario)
        assert rollout(agent, PhysicalSystem(scenario, 3), slots).income.mean() <= bound.income


def test_where_energy_alone_is_scarce_it_is_what_each_device_can_buy_with_its_own() -> None:
    """Without interference and with CPU for all, each device fills its budget with the best award per joule."""
    scenario = SMALL.replace(interference=0.0, cpu_hz=1e12, initial_energy_j=0.06, harvest_w=1e-6)
    states = idle_states(scenario, 1, 30)
    budget = states[0].energy_j + sum(state.harvest_j for state in states[:-1])
    every = np.full(scenario.n_devices, True)
    needed = np.array([uplink(scenario, state, every).energy_j for state in states])
    demands = [Demands(scenario, state).at(np.zeros(3)).min(axis=1) for state in states]
    award = np.where(np.isfinite(demands), [state.award for state in states], 0.0)
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


def test_any_prices_of_energy_give_a_bound() -> None:
    scenario = TINY.replace(interference=1.0)
    states = idle_states(scenario, 2, 3)
    best = best_path(scenario, states)
    budget = states[0].energy_j + sum(state.harvest_j for state in states[:-1])
    rng = np.random.default_rng(0)
    for _ in range(20):
        price_per_j = rng.exponential(rng.choice([1.0, 30.0, 300.0]), scenario.n_devices)
        cpu_price = rng.exponential(2e-9, scenario.n_bs)
        slots = [slot_bound(Demands(scenario, state), price_per_j, cpu_price).upper for state in states]
        assert best <= sum(slots) + price_per_j @ budget


def test_idle_states_are_the_world_that_every_policy_meets() -> None:
    states, system = idle_states(SMALL, 4, 5), PhysicalSystem(SMALL, 4)
    agent = make_agent("all-on", SMALL)
    for state in states:
        met = system.state
        for name in (
            "size_bits",
            "density_cycles_per_bit",
            "deadline_s",
            "award",
            "power_w",
            "gain",
            "harvest_j",
        ):
            assert np.array_equal(getattr(state, name), getattr(met, name))
        assert (met.energy_j <= state.energy_j).all()
        system.step(agent.act(met))


def test_without_any_energy_nothing_can_be_earned() -> None:
    scenario = Scenario(devices=(2, 2))
    assert long_run_bound(scenario, idle_states(scenario, 0, 1)).income == 0.0


def test_refuses_no_slots_and_negative_iterations() -> None:
    with pytest.raises(SettingError, match=r"states = \[\] is not allowed"):
        long_run_bound(TINY, [])
    with pytest.raises(SettingError, match=r"iterations = -1 is not allowed"):
        long_run_bound(TINY, idle_states(TINY, 0, 1), iterations=-1)
