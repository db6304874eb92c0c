"""The planner: its local search within a slot, and what it learns in the twin."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from worlds import TINY, assert_guarantees, random_state, scenarios, seeds

from mecsim.agents import make_agent
from mecsim.agents.greedy import Slot
from mecsim.agents.local_search import improve
from mecsim.agents.planner import EXPONENTS, Planner, PlannerSettings, Price
from mecsim.bounds import per_slot_bounds
from mecsim.experiments.runs import Run, measure
from mecsim.packing import settle
from mecsim.physics import Ints
from mecsim.reference.lookup import every_placement
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem, SystemState, feasible
from mecsim.training import rollout, states_met
from mecsim.twin import DigitalTwin

QUICK = {"rehearsed_slots": 5}


def paper_state(preset: str, slot: int = 30) -> tuple[Scenario, SystemState]:
    scenario = Scenario.preset(preset)
    return scenario, next(
        islice(states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, 5)), slot, None)
    )


def searched(scenario: Scenario, state: SystemState, placement: Ints) -> Ints:
    """The end of a local search, energy free."""
    placement = placement.copy()
    improve(Slot(scenario, state, np.zeros(scenario.n_devices)), placement)
    return placement


def near_one_bs(cycles_per_bit: Sequence[float], award: Sequence[float]) -> tuple[Scenario, SystemState]:
    """Tasks alike but for their density and award, near a BS of 0.25 GHz; a density of 3e3 needs 0.18 GHz."""
    n = len(award)
    scenario = Scenario(devices=(n,), interference=0.0, cpu_hz=(2.5e8,))
    return scenario, replace(
        PhysicalSystem(scenario).state,
        size_bits=np.full(n, 6e4),
        density_cycles_per_bit=np.array(cycles_per_bit),
        deadline_s=np.full(n, 1.0),
        award=np.array(award),
        power_w=np.full(n, 0.1),
        gain=np.full(n, 1e6),
        energy_j=np.full(n, 1.0),
    )


def income(scenario: Scenario, state: SystemState, placement: Ints) -> float:
    return float(np.where(placement >= 0, state.award, 0.0).sum())


class TestLocalSearch:
    @given(scenarios(), seeds)
    def test_it_keeps_to_the_constraints_and_never_loses(self, scenario, seed) -> None:
        state = random_state(scenario, seed)
        greedy = make_agent("greedy", scenario).act(state).placement
        for start in (greedy, np.full(scenario.n_devices, -1)):
            found = searched(scenario, state, start)
            assert feasible(scenario, state, found)
            assert income(scenario, state, found) >= income(scenario, state, start) * (1.0 - 1e-12)

    @pytest.mark.parametrize("interference", [0.0, 0.03, 1.0])
    def test_it_closes_most_of_the_gap_that_greedy_leaves_in_small_systems(self, interference) -> None:
        scenario = TINY.replace(devices=(2, 2, 3), interference=interference, cpu_hz=(5e8,), mean_gain=0.2)
        placements = np.concatenate(list(every_placement(scenario)))
        lost = {"greedy": 0.0, "searched": 0.0}
        for seed in range(30):
            state = random_state(scenario, seed)
            awards = np.where(placements >= 0, state.award, 0.0).sum(axis=-1)
            best = awards[feasible(scenario, state, placements)].max()
            greedy = make_agent("greedy", scenario).act(state).placement
            lost["greedy"] += best - income(scenario, state, greedy)
            lost["searched"] += best - income(scenario, state, searched(scenario, state, greedy))
        assert -1e-9 <= lost["searched"] < 0.5 * lost["greedy"]

    @pytest.mark.parametrize(("preset", "share"), [("calibrated", 0.98), ("printed", 0.965)])
    def test_it_comes_near_the_bound_at_the_paper_s_size(self, preset, share) -> None:
        scenario, state = paper_state(preset)
        bracket = per_slot_bounds(scenario, state, gap=0.02, time_limit_s=60.0)
        greedy = make_agent("greedy", scenario).act(state).placement
        found = income(scenario, state, searched(scenario, state, greedy))
        assert max(share * bracket.upper, income(scenario, state, greedy)) < found <= bracket.upper

    @pytest.mark.parametrize(
        ("award", "start", "expected"),
        [((5.0, 3.0, 3.0), [0, -1, -1], [-1, 0, 0]), ((7.0, 3.0, 3.0), [-1, 0, 0], [0, -1, -1])],
    )
    def test_two_tasks_take_the_place_of_one_that_pays_less_and_one_that_of_two(
        self, award, start, expected
    ) -> None:
        """The BS has room for the first task, or for the other two; no exchange of one for one helps."""
        assert searched(*near_one_bs([3e3, 1.9e3, 1.9e3], award), np.array(start)).tolist() == expected

    def test_a_task_that_needs_little_is_found_behind_many_that_pay_more(self) -> None:
        """Thirty tasks pay 3 and find no room; that of the last device pays 1, for next to no CPU."""
        scenario, state = near_one_bs([*[3e3] * 31, 300.0], [5.0, *[3.0] * 30, 1.0])
        found = searched(scenario, state, np.array([0, *[-1] * 31]))
        assert np.flatnonzero(found >= 0).tolist() == [0, 31]

    def test_tasks_move_where_the_bss_have_too_little_room_apart(self) -> None:
        """Two BSs of 5 Hz hold a task of 2 Hz each; one of 4 Hz fits only where both are at the same BS."""
        needs, at = np.array([[2.0, 2.0], [2.0, 2.0], [4.0, 4.0]]), np.array([0, 1, 0])
        assert settle(needs, at, np.array([5.0, 5.0])) == 0.0
        assert at.tolist() == [1, 1, 0]


class TestDecisions:
    @pytest.mark.parametrize("preset", ["calibrated", "printed"])
    def test_it_searches_from_where_thrifty_ends_and_wins_at_thrifty_s_price(self, preset) -> None:
        scenario, state = paper_state(preset)
        planner = make_agent("planner", scenario, settings={"level": 1.0, "exponent": 1.0})
        thrifty = make_agent("thrifty", scenario)
        assert planner.price_per_j(state) == pytest.approx(thrifty.price_per_j(state), rel=1e-12)
        action = planner.act(state)
        assert_guarantees(scenario, state, action)
        _, worth = Slot(scenario, state, thrifty.price_per_j(state)).totals(
            np.array([thrifty.act(state).offload, action.offload])
        )
        assert worth[1] > worth[0]

    def test_its_price_by_hand(self) -> None:
        """Mean award 2, and 6 and 12 mJ harvested per slot in cells 1 and 2."""
        scenario = TINY.replace(
            award=(1.0, 3.0), harvest_w=(1e-3, 3e-3), harvest_scale=(1.0, 2.0, 1.0), tau_s=3.0
        )
        planner = make_agent("planner", scenario, settings={"level": 0.5, "exponent": 0.5})
        state = replace(PhysicalSystem(scenario, 1).state, energy_j=np.full(scenario.n_devices, 0.015))
        price = planner.price_per_j(state)
        assert price[scenario.cell == 0] == pytest.approx(0.5 * 2 / 0.06 * 4**0.5)
        assert price[scenario.cell == 1] == pytest.approx(0.5 * 2 / 0.12 * 8**0.5)

    def test_a_reserve_is_kept_back_and_shared_out(self) -> None:
        scenario, state = paper_state("calibrated")
        agents = {cpu: Refinement(cpu=cpu) for cpu in ("least", "pro rata")}
        used = {
            cpu: make_agent("planner", scenario, refinement=one, settings={"reserve": 0.2})
            .act(state)
            .allocated_hz(3)
            for cpu, one in agents.items()
        }
        assert (used["least"].sum(axis=0) <= 0.8 * state.cpu_hz).all()
        assert used["least"].sum() > 0.78 * state.cpu_hz.sum()
        assert used["pro rata"].sum(axis=0) == pytest.approx(state.cpu_hz, rel=1e-12)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"level": 0.0}, "level = 0.0 is not allowed"),
            ({"exponent": 2.0}, "exponent = 2.0 is not allowed"),
            ({"reserve": 1.0}, "reserve = 1.0 is not allowed"),
            ({"rehearsed_slots": -1}, "rehearsed_slots = -1 is not allowed"),
        ],
    )
    def test_settings_that_are_refused(self, settings, message) -> None:
        with pytest.raises(SettingError, match=message):
            make_agent("planner", TINY, settings=settings)


class TestRehearsal:
    def test_it_keeps_the_best_price_and_leaves_the_twin_as_it_was(self) -> None:
        twin, planner = DigitalTwin(TINY, 3), Planner(TINY, settings=QUICK)
        rollout(make_agent("all-on", TINY), twin, 3)
        before = twin.snapshot()
        tried = planner.rehearse(twin)
        assert twin.snapshot() == before
        assert tried[planner.price] == max(tried.values())
        assert len(tried) >= 5
        for price, earned in tried.items():
            again = Planner(TINY, settings={**QUICK, **price._asdict()})
            assert float(rollout(again, twin, 5).income.mean()) == earned
            twin.restore(before)

    def test_without_slots_it_keeps_its_first_price(self) -> None:
        planner = Planner(TINY, settings={"rehearsed_slots": 0})
        assert planner.rehearse(DigitalTwin(TINY, 3)) == {}
        assert planner.price == Price(PlannerSettings().level, PlannerSettings().exponent)

    def test_no_neighbour_of_what_it_keeps_earns_more(self) -> None:
        planner = Planner(TINY, settings={"rehearsed_slots": 20})
        tried = planner.rehearse(DigitalTwin(TINY, 17))
        level, exponent = planner.price
        near = [Price(level * by, exponent) for by in (1.5, 1 / 1.5)]
        near += [
            Price(level, at)
            for at in (exponent - 0.25, exponent + 0.25)
            if EXPONENTS[0] <= at <= EXPONENTS[1]
        ]
        for price in near:
            (found,) = (earned for one, earned in tried.items() if one == pytest.approx(price, rel=1e-9))
            assert found <= tried[planner.price]

    @pytest.mark.parametrize("exponent", EXPONENTS)
    def test_no_exponent_leaves_its_range(self, exponent) -> None:
        planner = Planner(TINY, settings={**QUICK, "exponent": exponent})
        tried = planner.rehearse(DigitalTwin(TINY, 3))
        assert all(EXPONENTS[0] <= price.exponent <= EXPONENTS[1] for price in tried)

    def test_a_second_one_begins_where_the_first_did(self) -> None:
        planner, twin = Planner(TINY, settings={"rehearsed_slots": 20}), DigitalTwin(TINY, 17)
        assert planner.rehearse(twin) == planner.rehearse(twin)

    def test_a_twin_of_other_devices_is_refused(self) -> None:
        for twin in (DigitalTwin(TINY.replace(devices=(3, 3, 3)), 0), TINY):
            with pytest.raises(SettingError, match="is not allowed"):
                Planner(TINY, settings={"rehearsed_slots": 0}).rehearse(twin)

    def test_one_that_was_cut_short_goes_on(self, monkeypatch) -> None:
        whole = Planner(TINY, settings=QUICK)
        tried = whole.rehearse(DigitalTwin(TINY, 3))
        some = dict(islice(tried.items(), 2))
        resumed, simulated = Planner(TINY, settings=QUICK), []
        act = Planner.act
        monkeypatch.setattr(
            Planner, "act", lambda self, state: simulated.append(self.price) or act(self, state)
        )
        assert resumed.rehearse(DigitalTwin(TINY, 3), tried=some) == tried
        assert resumed.price == whole.price
        assert set(simulated) == set(list(tried)[2:])

    def test_the_more_cpu_there_is_the_more_it_charges_for_energy(self) -> None:
        levels = []
        for cpu_hz in (5e7, 1e9):
            scenario = TINY.replace(cpu_hz=(cpu_hz,))
            planner = Planner(scenario, settings={"rehearsed_slots": 40})
            planner.rehearse(DigitalTwin(scenario, 1))
            levels.append(planner.price.level)
        assert levels[0] <= PlannerSettings().level < levels[1]

    def test_a_run_rehearses_in_its_twin_and_is_the_same_each_time(self) -> None:
        run = Run(
            agent="planner",
            changes={"devices": (3, 4, 5)},
            settings=QUICK,
            slots=0,
            evaluation_slots=20,
            seed=5,
        )
        agent = run.make_agent()
        agent.rehearse(DigitalTwin(run.scenario(), run.seed))
        assert agent.price != run.make_agent().price
        earned = rollout(agent, PhysicalSystem(run.scenario(), run.evaluation_seed()), 20).income.mean()
        table = measure(run)
        assert table.loc[table["metric"] == "income", "value"].item() == pytest.approx(earned, rel=1e-6)
        assert table.equals(measure(run))


def test_it_earns_more_than_thrifty_from_the_same_worlds() -> None:
    scenario = Scenario.preset("printed")
    earned = [
        rollout(make_agent(name, scenario), PhysicalSystem(scenario, 1_000_000), 60).income.mean()
        for name in ("thrifty", "planner")
    ]
    assert earned[1] > 1.005 * earned[0]
