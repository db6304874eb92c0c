"""Thrifty: greedy where energy is plenty, and ahead of it in the long run where energy is scarce."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from worlds import assert_guarantees, random_state, scenarios, seeds

from mecsim.agents import make_agent
from mecsim.bounds import idle_states, long_run_bound
from mecsim.experiments.studies.guarantees import broken
from mecsim.physics import Array, Bools, Ints
from mecsim.reference.lookup import feasible
from mecsim.scenario import PRESETS, Scenario
from mecsim.system import PhysicalSystem, SystemState, uplink
from mecsim.training import rollout

SCARCE = ("calibrated", "printed")


def placed(name: str, scenario: Scenario, state: SystemState) -> Ints:
    return make_agent(name, scenario).act(state).placement


def earned(name: str, scenario: Scenario, seed: int, slots: int) -> float:
    return rollout(make_agent(name, scenario), PhysicalSystem(scenario, seed), slots).income.mean()


def pay(scenario: Scenario, state: SystemState, offload: Bools) -> Array:
    """Award less the price of the energy of each task, 0 where it is not sent, (..., n_devices)."""
    mean = np.mean(scenario.award) * scenario.per_device("award_scale")
    worth = state.award - mean * uplink(scenario, state, offload).energy_j / state.energy_j
    return np.where(offload, worth, 0.0)


class TestConstraints:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_no_action_of_a_hundred_slots_breaks_one(self, preset) -> None:
        scenario = Scenario.preset(preset)
        agent, system, income = make_agent("thrifty", scenario), PhysicalSystem(scenario, 11), 0.0
        for _ in range(100):
            action = agent.act(system.state)
            assert not broken(scenario, system.state, action)
            assert_guarantees(scenario, system.state, action)
            income += system.step(action).income
        assert income > 0

    @pytest.mark.parametrize("preset", PRESETS)
    def test_stores_of_any_size_are_served(self, preset) -> None:
        scenario = Scenario.preset(preset)
        sizes = np.resize([0.0, 5e-324, 1e-300, 1e-3, 1.0, 1e300, np.inf], scenario.n_devices)
        gains = np.resize([1.0, 1e9, 1e-300, 0.0], scenario.n_devices)
        state = PhysicalSystem(scenario, 3).state
        state = replace(state, energy_j=sizes, gain=state.gain * gains)
        action = make_agent("thrifty", scenario).act(state)
        assert_guarantees(scenario, state, action)
        assert action.offload.any()
        assert not action.offload[sizes < 1e-100].any()

    def test_without_energy_nothing_is_sent(self) -> None:
        scenario = Scenario(devices=(2, 3))
        state = replace(PhysicalSystem(scenario).state, energy_j=np.zeros(5))
        assert placed("thrifty", scenario, state).tolist() == [-1] * 5


class TestChoice:
    @pytest.mark.parametrize("stored_j", [1e9, np.inf])
    @pytest.mark.parametrize("preset", PRESETS)
    def test_with_plenty_stored_it_is_greedy(self, preset, stored_j) -> None:
        scenario = Scenario.preset(preset)
        for seed in range(10):
            state = PhysicalSystem(scenario, seed).state
            state = replace(state, energy_j=np.full(scenario.n_devices, stored_j))
            assert placed("thrifty", scenario, state).tolist() == placed("greedy", scenario, state).tolist()

    def test_a_nearly_empty_store_is_kept_for_a_better_task(self) -> None:
        """Nothing else is scarce. A task takes a share of its store that its award is worth, or is not."""
        scenario = Scenario(devices=(6,), interference=0.0, cpu_hz=1e13, award_scale=2.0, award=(0.5, 1.5))
        state = PhysicalSystem(scenario).state
        energy = uplink(scenario, state, np.full(6, True)).energy_j
        state = replace(
            state,
            deadline_s=np.full(6, 2.0),
            award=np.array([1.0, 1.0, 1.9, 2.1, 1.9, 2.1]),
            energy_j=energy / np.array([0.51, 0.49, 1.0, 1.0, 1.1, 1.1]),
        )
        assert placed("greedy", scenario, state).tolist() == [0, 0, 0, 0, -1, -1]
        assert placed("thrifty", scenario, state).tolist() == [-1, 0, -1, 0, -1, -1]

    def test_a_task_whose_interference_would_drain_another_store_is_left_out(self) -> None:
        scenario = Scenario(devices=(2,), interference=1.0, cpu_hz=1e13)
        state = replace(
            PhysicalSystem(scenario).state,
            size_bits=np.full(2, 60e3),
            deadline_s=np.full(2, 2.0),
            award=np.array([3.0, 1.0]),
            power_w=np.full(2, 0.1),
            gain=np.array([0.2, 0.4]),
        )
        alone, both = (uplink(scenario, state, np.array([True, other])).energy_j for other in (False, True))
        assert 3.0 * alone[0] < both[0]
        for stored_j, expected in ((1.1 * both[0], [0, -1]), (10.0 * both[0], [0, 0])):
            full = replace(state, energy_j=np.array([stored_j, 1e3]))
            assert placed("greedy", scenario, full).tolist() == [0, 0]
            assert placed("thrifty", scenario, full).tolist() == expected

    @given(scenarios(), seeds)
    def test_every_task_that_is_sent_pays_more_than_its_energy_costs(self, scenario, seed) -> None:
        state = random_state(scenario, seed)
        sent = placed("thrifty", scenario, state) >= 0
        assert (pay(scenario, state, sent)[sent] > 0).all()

    @given(scenarios(), seeds)
    def test_no_other_task_would_pay(self, scenario, seed) -> None:
        """Each that fits costs more energy than it is worth, its own or that of others, or makes one of them do so."""
        state = random_state(scenario, seed)
        placement = placed("thrifty", scenario, state)
        before = pay(scenario, state, placement >= 0).sum()
        for task in np.flatnonzero(placement < 0):
            tried = np.tile(placement, (scenario.n_bs, 1))
            tried[:, task] = np.arange(scenario.n_bs)
            tried = tried[feasible(scenario, state, tried)]
            after = pay(scenario, state, tried >= 0)
            unpaid = ((tried >= 0) & (after <= 0)).any(axis=-1)
            assert (unpaid | (after.sum(axis=-1) <= before * (1.0 + 1e-9))).all()


class TestLongRun:
    @pytest.mark.parametrize("seed", [1_000_000, 1_000_001, 1_000_002])
    @pytest.mark.parametrize("preset", SCARCE)
    def test_it_earns_more_than_greedy(self, preset, seed) -> None:
        scenario = Scenario.preset(preset)
        greedy, thrifty = (earned(name, scenario, seed, 300) for name in ("greedy", "thrifty"))
        assert thrifty > 1.01 * greedy

    @pytest.mark.parametrize("preset", SCARCE)
    def test_it_stays_under_the_long_run_bound(self, preset) -> None:
        scenario, slots = Scenario.preset(preset), 50
        bound = long_run_bound(scenario, idle_states(scenario, 6, slots), iterations=40)
        assert 0.8 * bound.income < earned("thrifty", scenario, 6, slots) <= bound.income
