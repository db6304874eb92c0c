"""Greedy: the rule of thumb, held to the constraints, to the other rules and to the optimum of small systems."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from worlds import TINY, assert_guarantees, random_state, scenarios, seeds

from mecsim.agents import greedy, make_agent
from mecsim.bounds import per_slot_bounds
from mecsim.experiments.studies.guarantees import broken
from mecsim.physics import Ints
from mecsim.reference.lookup import every_placement, feasible
from mecsim.refinement import Refinement, refine_discrete
from mecsim.scenario import PRESETS, Scenario
from mecsim.system import Action, PhysicalSystem, SystemState, outcome
from mecsim.training import states_met

RULES = ("OLNPO", "LPWPO", "all-on")


def one_cell(own_w: list[float], award: list[float]) -> tuple[Scenario, SystemState]:
    """Equal tasks of one cell that differ in what they pay and in the power that the BS receives."""
    n = len(own_w)
    scenario = Scenario(devices=(n,), interference=1.0, cpu_hz=1e9, bandwidth_hz=1e6, noise_w_per_hz=1e-8)
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


def income(name: str, scenario: Scenario, state: SystemState) -> float:
    return float(outcome(scenario, state, make_agent(name, scenario).act(state)).income)


class TestConstraints:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_no_action_of_a_hundred_slots_breaks_one(self, preset) -> None:
        scenario = Scenario.preset(preset)
        agent, system = make_agent("greedy", scenario), PhysicalSystem(scenario, 11)
        helped = 0
        for _ in range(100):
            action = agent.act(system.state)
            assert not broken(scenario, system.state, action)
            assert_guarantees(scenario, system.state, action)
            helped += int((action.offload & (action.placement != scenario.cell)).sum())
            system.step(action)
        assert helped > 100

    @pytest.mark.parametrize(
        "refinement",
        [Refinement(), Refinement(reading="one-shot", hopeless="lowest index"), Refinement(cpu="pro rata")],
    )
    @given(scenarios(), seeds)
    def test_algorithm_1_finds_nothing_to_discard(self, refinement, scenario, seed) -> None:
        handed: list[Ints] = []

        def listen(scenario: Scenario, state: SystemState, placement: Ints, settings: Refinement) -> Action:
            handed.append(placement.copy())
            return refine_discrete(scenario, state, placement, settings)

        state = random_state(scenario, seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(greedy, "refine_discrete", listen)
            action = make_agent("greedy", scenario, refinement=refinement).act(state)
        assert action.placement.tolist() == handed[0].tolist()

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

    def test_without_energy_nothing_is_sent(self) -> None:
        state = replace(random_state(TINY, 1), energy_j=np.zeros(TINY.n_devices))
        action = make_agent("greedy", TINY).act(state)
        assert not action.offload.any()
        assert not action.cpu_hz.any()


class TestChoice:
    def test_without_interference_and_with_cpu_for_all_every_possible_task_is_taken(self) -> None:
        scenario = Scenario(interference=0.0, cpu_hz=1e12)
        state = random_state(scenario, 2)
        alone = refine_discrete(scenario, state, scenario.cell)
        action = make_agent("greedy", scenario).act(state)
        assert alone.offload.sum() > 50
        assert action.offload.tolist() == alone.offload.tolist()

    def test_a_loud_device_is_left_out_for_the_quiet_ones_that_it_would_drown(self) -> None:
        """The loud task pays twice as much as any other and needs the least CPU; all the quiet ones pay more."""
        scenario, state = one_cell([1.0, 0.005, 0.006, 0.007], [2.0, 1.0, 1.0, 1.0])
        assert make_agent("greedy", scenario).act(state).placement.tolist() == [-1, 0, 0, 0]
        assert make_agent("OLNPO", scenario).act(state).placement.tolist() == [0, -1, -1, -1]

    def test_a_loud_device_that_pays_more_than_all_others_is_taken(self) -> None:
        scenario, state = one_cell([1.0, 0.005, 0.006, 0.007], [4.0, 1.0, 1.0, 1.0])
        assert make_agent("greedy", scenario).act(state).placement.tolist() == [0, -1, -1, -1]

    def test_where_cpu_is_scarce_the_tasks_go_that_pay_most_for_it(self) -> None:
        scenario, state = one_cell([0.02] * 6, [1.0, 3.0, 2.0, 1.5, 2.5, 1.2])
        scenario = scenario.replace(interference=0.0, cpu_hz=4.5e8)
        state = replace(state, cpu_hz=scenario.per_bs("cpu_hz"))
        assert make_agent("greedy", scenario).act(state).placement.tolist() == [-1, 0, 0, -1, 0, -1]

    def test_a_bs_without_cpu_of_its_own_is_helped_where_there_is_a_link(self) -> None:
        scenario = Scenario(devices=(5, 1), cpu_hz=(1.0, 1e12), initial_energy_j=10.0, interference=0.0)
        state = replace(PhysicalSystem(scenario).state, deadline_s=np.full(6, 2.0))
        assert make_agent("greedy", scenario).act(state).placement.tolist() == [1] * 6
        alone = scenario.replace(links=())
        state = replace(state, link_bps=alone.link_rates_bps)
        assert make_agent("greedy", alone).act(state).placement.tolist() == [-1] * 5 + [1]

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


class TestIncome:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_every_state_earns_more_than_with_any_other_rule(self, preset) -> None:
        scenario = Scenario.preset(preset)
        agent, system = make_agent("greedy", scenario), PhysicalSystem(scenario, 4)
        for slot in range(40):
            action = agent.act(system.state)
            if slot % 4 == 3:
                others = [income(name, scenario, system.state) for name in RULES]
                assert float(outcome(scenario, system.state, action).income) > max(others)
            system.step(action)

    @pytest.mark.parametrize("interference", [0.0, 0.03, 1.0])
    def test_it_comes_near_the_best_of_all_placements(self, interference) -> None:
        """Small systems are the hard ones for a greedy choice: one task more or less is a large part of the income."""
        scenario = TINY.replace(devices=(2, 3, 3), interference=interference, cpu_hz=5e8, mean_gain=0.2)
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
