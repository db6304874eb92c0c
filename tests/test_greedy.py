"""Greedy and thrifty: held to the constraints, to the other rules, to the optimum of small systems and to bounds."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from worlds import TINY, assert_guarantees, random_state, scenarios, seeds

from mecsim.agents import make_agent
from mecsim.bounds import per_slot_bounds
from mecsim.physics import Array, Bools
from mecsim.reference.lookup import every_placement
from mecsim.refinement import Refinement
from mecsim.scenario import PRESETS, Scenario
from mecsim.system import PhysicalSystem, SystemState, feasible, outcome, uplink
from mecsim.training import rollout, states_met

BOTH = ("greedy", "thrifty")


def one_cell(own_w: list[float], award: list[float]) -> tuple[Scenario, SystemState]:
    """Equal tasks of one cell that differ in what they pay and in the power that the BS receives."""
    n = len(own_w)
    scenario = Scenario(devices=(n,), interference=1.0, cpu_hz=(1e9,), noise_w_per_hz=1e-8)
    state = replace(
        PhysicalSystem(scenario).state,
        size_bits=np.full(n, 60e3),
        density_cycles_per_bit=np.full(n, 2e3),
        deadline_s=np.full(n, 1.0),
        award=np.array(award),
        power_w=np.full(n, 0.1),
        gain=10.0 * np.array(own_w),
        energy_j=np.full(n, 1.0),
    )
    return scenario, state


def placed(name: str, scenario: Scenario, state: SystemState) -> list[int]:
    return make_agent(name, scenario).act(state).placement.tolist()


def income(name: str, scenario: Scenario, state: SystemState) -> float:
    return float(outcome(scenario, state, make_agent(name, scenario).act(state)).income)


def pay(scenario: Scenario, state: SystemState, offload: Bools) -> Array:
    """Award less the price of the energy of each task, 0 where it is not sent, (..., n_devices)."""
    mean = np.mean(scenario.award) * scenario.per_device("award_scale")
    worth = state.award - mean * uplink(scenario, state, offload).energy_j / state.energy_j
    return np.where(offload, worth, 0.0)


class TestConstraints:
    @given(scenarios(), seeds)
    def test_no_other_task_would_fit(self, scenario, seed) -> None:
        state = random_state(scenario, seed)
        placement = make_agent("greedy", scenario).act(state).placement
        for task in np.flatnonzero(placement < 0):
            tried = np.tile(placement, (scenario.n_bs, 1))
            tried[:, task] = np.arange(scenario.n_bs)
            assert not feasible(scenario, state, tried).any()

    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize(
        "change",
        [
            {"energy_j": lambda values: np.full_like(values, np.inf)},
            {"gain": lambda values: values * np.resize([0.0, 1e-300, 1e9, 1.0], values.shape)},
            {"deadline_s": lambda values: values * np.resize([1e-12, 0.1, 1.0], values.shape)},
            {"award": lambda values: values * np.resize([1e-200, 1e200, 1.0], values.shape)},
            {"cpu_hz": lambda values: values * np.resize([1e-300, 1.0, 10.0], values.shape)},
            {"link_bps": lambda values: np.where(np.eye(len(values)) > 0, np.inf, 0.0)},
        ],
    )
    def test_extreme_states_are_served_as_well(self, preset, change) -> None:
        scenario = Scenario.preset(preset)
        state = replace(PhysicalSystem(scenario, 3).state, energy_j=np.full(scenario.n_devices, 0.1))
        (field, changed), *_ = change.items()
        state = replace(state, **{field: changed(getattr(state, field))})
        action = make_agent("greedy", scenario).act(state)
        assert_guarantees(scenario, state, action)
        assert action.offload.any()

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


class TestChoice:
    @pytest.mark.parametrize(("award", "expected"), [(2.0, [-1, 0, 0, 0]), (4.0, [0, -1, -1, -1])])
    def test_a_loud_device_is_left_out_for_the_quiet_ones_that_it_would_drown(self, award, expected) -> None:
        """Unless it pays more than all of them; OLNPO takes it even where it does not."""
        scenario, state = one_cell([1.0, 0.005, 0.006, 0.007], [award, 1.0, 1.0, 1.0])
        assert placed("greedy", scenario, state) == expected
        assert placed("OLNPO", scenario, state) == [0, -1, -1, -1]

    def test_where_cpu_is_scarce_the_tasks_go_that_pay_most_for_it(self) -> None:
        scenario, state = one_cell([0.02] * 6, [1.0, 3.0, 2.0, 1.5, 2.5, 1.2])
        scenario = scenario.replace(interference=0.0, cpu_hz=(4.5e8,))
        state = replace(state, cpu_hz=scenario.per_bs("cpu_hz"))
        assert placed("greedy", scenario, state) == [-1, 0, 0, -1, 0, -1]

    def test_a_bs_without_cpu_of_its_own_is_helped_where_there_is_a_link(self) -> None:
        scenario = Scenario(devices=(5, 1), cpu_hz=(1.0, 1e12), initial_energy_j=10.0, interference=0.0)
        state = replace(PhysicalSystem(scenario).state, deadline_s=np.full(6, 2.0))
        assert placed("greedy", scenario, state) == [1] * 6
        alone = scenario.replace(links=())
        state = replace(state, link_bps=alone.link_rates_bps)
        assert placed("greedy", alone, state) == [-1] * 5 + [1]

    def test_what_is_left_of_the_cpu_is_shared_out_if_algorithm_1_says_so(self) -> None:
        scenario = Scenario.preset("calibrated")
        state = replace(PhysicalSystem(scenario, 3).state, energy_j=np.full(scenario.n_devices, 0.1))
        least, shared = (
            make_agent("greedy", scenario, refinement=Refinement(cpu=cpu)).act(state)
            for cpu in ("least", "pro rata")
        )
        assert shared.placement.tolist() == least.placement.tolist()
        assert shared.allocated_hz(3).sum(axis=0) == pytest.approx(state.cpu_hz, rel=1e-12)
        assert (least.allocated_hz(3).sum(axis=0) < state.cpu_hz).all()

    @pytest.mark.parametrize("stored_j", [1e9, np.inf])
    @pytest.mark.parametrize("preset", PRESETS)
    def test_with_plenty_stored_it_is_greedy(self, preset, stored_j) -> None:
        scenario = Scenario.preset(preset)
        for seed in range(10):
            state = PhysicalSystem(scenario, seed).state
            state = replace(state, energy_j=np.full(scenario.n_devices, stored_j))
            assert placed("thrifty", scenario, state) == placed("greedy", scenario, state)

    def test_a_nearly_empty_store_is_kept_for_a_better_task(self) -> None:
        """Nothing else is scarce. A task takes a share of its store that its award is worth, or is not."""
        scenario = Scenario(
            devices=(6,), interference=0.0, cpu_hz=(1e13,), award_scale=(2.0,), award=(0.5, 1.5)
        )
        state = PhysicalSystem(scenario).state
        energy = uplink(scenario, state, np.full(6, True)).energy_j
        state = replace(
            state,
            deadline_s=np.full(6, 2.0),
            award=np.array([1.0, 1.0, 1.9, 2.1, 1.9, 2.1]),
            energy_j=energy / np.array([0.51, 0.49, 1.0, 1.0, 1.1, 1.1]),
        )
        assert placed("greedy", scenario, state) == [0, 0, 0, 0, -1, -1]
        assert placed("thrifty", scenario, state) == [-1, 0, -1, 0, -1, -1]

    def test_a_task_whose_interference_would_drain_another_store_is_left_out(self) -> None:
        scenario = Scenario(devices=(2,), interference=1.0, cpu_hz=(1e13,))
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
            assert placed("greedy", scenario, full) == [0, 0]
            assert placed("thrifty", scenario, full) == expected

    @given(scenarios(), seeds)
    def test_every_task_that_is_sent_pays_more_than_its_energy_costs(self, scenario, seed) -> None:
        state = random_state(scenario, seed)
        sent = make_agent("thrifty", scenario).act(state).offload
        assert (pay(scenario, state, sent)[sent] > 0).all()

    @given(scenarios(), seeds)
    def test_no_other_task_would_pay(self, scenario, seed) -> None:
        """Each that fits costs more energy than it is worth, its own or that of others, or makes one of them do so."""
        state = random_state(scenario, seed)
        placement = make_agent("thrifty", scenario).act(state).placement
        before = pay(scenario, state, placement >= 0).sum()
        for task in np.flatnonzero(placement < 0):
            tried = np.tile(placement, (scenario.n_bs, 1))
            tried[:, task] = np.arange(scenario.n_bs)
            tried = tried[feasible(scenario, state, tried)]
            after = pay(scenario, state, tried >= 0)
            unpaid = ((tried >= 0) & (after <= 0)).any(axis=-1)
            assert (unpaid | (after.sum(axis=-1) <= before * (1.0 + 1e-9))).all()


class TestIncome:
    @pytest.mark.parametrize("interference", [0.0, 0.03, 1.0])
    def test_it_comes_near_the_best_of_all_placements(self, interference) -> None:
        """Small systems are the hard ones for a greedy choice: one task more or less is a large part of the income."""
        scenario = TINY.replace(devices=(2, 2, 3), interference=interference, cpu_hz=(5e8,), mean_gain=0.2)
        placements = np.concatenate(list(every_placement(scenario)))
        ratios = []
        for seed in range(30):
            state = random_state(scenario, seed)
            within = placements[feasible(scenario, state, placements)]
            best = np.where(within >= 0, state.award, 0.0).sum(axis=-1).max()
            earned = income("greedy", scenario, state)
            assert earned <= best * (1.0 + 1e-12)
            if best:
                ratios.append(earned / best)
        assert len(ratios) > 20
        assert np.mean(ratios) > 0.9

    @pytest.mark.parametrize(("preset", "share"), [("calibrated", 0.95), ("printed", 0.93)])
    def test_it_comes_nearer_at_the_paper_s_size(self, preset, share) -> None:
        scenario = Scenario.preset(preset)
        state = next(
            islice(states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, 5)), 30, None)
        )
        bracket = per_slot_bounds(scenario, state, gap=0.03, time_limit_s=300.0)
        assert bracket.gap <= 0.03
        assert share * bracket.upper < income("greedy", scenario, state) <= bracket.upper


class TestLongRun:
    @pytest.mark.parametrize("preset", ["calibrated", "printed"])
    def test_once_the_queues_have_filled_thrifty_earns_more_than_greedy(self, preset) -> None:
        scenario, earned = Scenario.preset(preset), {}
        for name in BOTH:
            earned[name] = rollout(
                make_agent(name, scenario), PhysicalSystem(scenario, 1_000_000), 150
            ).income
        assert earned["thrifty"][50:].mean() > 1.01 * earned["greedy"][50:].mean()
