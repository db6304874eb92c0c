"""The plant: eq. (6) slot by slot, what the state shows, and infeasible actions (A23)."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from worlds import TINY, place, random_placement, random_state, same_bits, scenarios, seeds

from mecsim import physics
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario
from mecsim.system import Action, PhysicalSystem, SystemState, outcome, uplink

NOTHING = place(*[-1] * TINY.n_devices)


def feasible(system: PhysicalSystem) -> Action:
    """A valid action that places tasks at random."""
    placement = random_placement(system.scenario, system.state.slot)
    return refine_discrete(system.scenario, system.state, placement)


class TestEnergyQueue:
    def test_starts_at_q0(self) -> None:
        assert (PhysicalSystem(TINY).state.energy_j == 0.0).all()
        assert (PhysicalSystem(TINY.replace(initial_energy_j=0.5)).state.energy_j == 0.5).all()

    def test_harvests_add_up_while_nobody_transmits(self) -> None:
        system, total = PhysicalSystem(TINY), np.zeros(TINY.n_devices)
        for slot in range(10):
            assert system.state.slot == slot
            assert system.state.energy_j == pytest.approx(total, rel=1e-12)
            total = total + system.state.harvest_j
            assert system.step(NOTHING).income == 0.0

    def test_eq_6_on_the_plant(self) -> None:
        system, sent = PhysicalSystem(TINY), 0
        for _ in range(30):
            before, action = system.state, feasible(system)
            result = system.step(action)
            spent = np.where(action.offload, before.power_w * result.uplink_s, 0.0)
            assert (spent <= before.energy_j * (1 + 1e-12)).all()
            expected = before.energy_j + before.harvest_j - spent
            assert system.state.energy_j == pytest.approx(expected, rel=1e-9, abs=1e-15)
            sent += int(action.offload.sum())
        assert sent > 30

    def test_the_harvest_of_a_slot_cannot_be_spent_in_it(self) -> None:
        system = PhysicalSystem(TINY)  # Q(0) = 0, though e(0) > 0
        assert (system.state.harvest_j > 0).all()
        assert not refine_discrete(TINY, system.state, TINY.cell).offload.any()

    def test_a_finite_battery_overflows_a5(self) -> None:
        system = PhysicalSystem(TINY.replace(battery_j=0.005, initial_energy_j=1.0))
        assert (system.state.energy_j == 0.005).all()
        system.step(NOTHING)
        assert (system.state.energy_j == 0.005).all()


class TestStateRate:
    """nu in the state depends, through (3), on an action not yet taken (A7)."""

    @staticmethod
    def rates(scenario: Scenario, state: SystemState, transmitting: bool) -> np.ndarray:
        return uplink(scenario, state, np.full(scenario.n_devices, transmitting)).rate_bps

    def test_interference_free(self) -> None:
        loud = TINY.replace(interference=1.0)
        state = PhysicalSystem(loud).state
        sinr = state.received_w / (loud.bandwidth_hz[0] * loud.noise_w_per_hz)
        assert state.rate_bps == pytest.approx(loud.bandwidth_hz[0] * np.log2(1 + sinr), rel=1e-12)

    def test_all_transmit(self) -> None:
        loud = TINY.replace(interference=1.0, state_rate="all-transmit")
        system = PhysicalSystem(loud)
        for _ in range(3):
            assert np.array_equal(system.state.rate_bps, self.rates(loud, system.state, True))
            assert (system.state.rate_bps < self.rates(loud, system.state, False)).all()
            system.step(NOTHING)

    def test_last_slot(self) -> None:
        loud = TINY.replace(interference=1.0, state_rate="last-slot", initial_energy_j=1.0)
        system = PhysicalSystem(loud)
        assert np.array_equal(system.state.rate_bps, self.rates(loud, system.state, False))
        for _ in range(3):
            result = system.step(feasible(system))
            assert np.array_equal(system.state.rate_bps, result.rate_bps)

    def test_it_changes_what_is_seen_and_not_what_happens(self) -> None:
        kinds = ("interference-free", "all-transmit", "last-slot")
        systems = [PhysicalSystem(TINY.replace(state_rate=kind, interference=1.0)) for kind in kinds]
        for _ in range(10):
            incomes = {system.step(feasible(system)).income for system in systems}
            assert len(incomes) == 1


class TestInfeasibleActions:
    """A decision made on a wrong estimate reaches the plant all the same (A23)."""

    @staticmethod
    def world() -> tuple[Scenario, SystemState]:
        """Two BSs with two devices each, all sending in 0.1 s without hearing each other."""
        scenario = Scenario(devices=(2, 2), interference=0.0, cpu_hz=1e9, link_bps=1e6)
        ones = np.ones(4)
        # B log2(1 + 0.1 x 0.1 / 0.01) = 1 Mbit/s; 0.1 Mbit in 0.1 s, with 0.1 W 0.01 J; 1e5 x 1000 = 1e8 cycles.
        state = replace(
            PhysicalSystem(scenario).state,
            size_bits=1e5 * ones,
            density_cycles_per_bit=1000 * ones,
            deadline_s=0.5 * ones,
            award=np.array([1.0, 2.0, 4.0, 8.0]),
            power_w=0.1 * ones,
            gain=0.1 * ones,
            energy_j=ones,
        )
        return scenario, state

    def test_a_feasible_action_by_hand(self) -> None:
        scenario, state = self.world()
        # Three tasks get 0.4 GHz: 0.25 s of computing. At home 0.35 s; at the peer 0.1 s of wire more: 0.45 s.
        result = outcome(scenario, state, place(0, 1, 1, -1, cpu_hz=0.4e9))
        assert result.delay_s == pytest.approx([0.35, 0.45, 0.35, 0.0], rel=1e-12)
        assert result.completed.tolist() == [True, True, True, False]
        assert result.income == 7.0
        assert result.cpu_used_hz == pytest.approx([0.4e9, 0.8e9], rel=1e-12)
        assert result.spent_j == pytest.approx([0.01, 0.01, 0.01, 0.0], rel=1e-12)

    def test_too_little_energy_spends_what_there_is_and_loses_the_task(self) -> None:
        scenario, state = self.world()
        state = replace(state, energy_j=np.array([0.004, 1.0, 0.0, 1.0]))
        result = outcome(scenario, state, place(0, 0, 1, 1, cpu_hz=0.5e9))
        assert result.powered.tolist() == [False, True, False, True]
        assert result.completed.tolist() == [False, True, False, True]
        assert result.spent_j == pytest.approx([0.004, 0.01, 0.0, 0.01], rel=1e-12)
        assert result.income == 10.0

    def test_too_much_cpu_promised_is_cut_in_proportion(self) -> None:
        scenario, state = self.world()
        # BS-1 promises 1.5 + 0.5 GHz of its 1: each gets half, 0.75 and 0.25 GHz, 0.133 and 0.4 s.
        placement, cpu = np.array([0, 0, 1, -1]), np.array([1.5e9, 0.5e9, 0.5e9, 0.0])
        result = outcome(scenario, state, Action(placement, cpu))
        assert result.compute_s == pytest.approx([1e8 / 0.75e9, 0.4, 0.2, 0.0], rel=1e-12)
        assert result.completed.tolist() == [True, True, True, False]
        assert result.cpu_used_hz == pytest.approx([1e9, 0.5e9], rel=1e-12)
        late = outcome(scenario, state, Action(placement, cpu * np.array([2.0, 1.0, 1.0, 1.0])))
        assert late.completed.tolist() == [True, False, True, False]

    def test_a_late_task_earns_nothing_and_costs_its_energy(self) -> None:
        scenario, state = self.world()
        result = outcome(scenario, state, place(0, -1, -1, -1, cpu_hz=0.2e9))
        assert result.compute_s[0] == pytest.approx(0.5)
        assert (result.income, result.spent_j[0]) == (0.0, pytest.approx(0.01))

    def test_no_link_and_no_cpu(self) -> None:
        scenario, state = self.world()
        cut = scenario.replace(links=())
        state = replace(state, link_bps=cut.link_rates_bps)
        result = outcome(cut, state, place(1, 0, -1, -1, cpu_hz=0.5e9))
        assert result.delay_s.tolist() == [np.inf, pytest.approx(0.3), 0.0, 0.0]
        starved = outcome(cut, state, place(0, 0, 1, 1, cpu_hz=0.0))
        assert (starved.compute_s == np.inf).all()
        assert starved.income == 0.0

    @given(scenarios(), seeds)
    def test_whatever_is_asked_nothing_is_made_of_nothing(self, scenario, seed) -> None:
        state, rng = random_state(scenario, seed), np.random.default_rng(seed)
        placement = random_placement(scenario, seed)
        action = Action(placement, np.where(placement >= 0, rng.exponential(2e9, scenario.n_devices), 0.0))
        result = outcome(scenario, state, action)
        assert (result.cpu_used_hz <= state.cpu_hz * (1 + 1e-12)).all()
        assert (result.spent_j <= state.energy_j).all()
        assert not (result.completed & ~action.offload).any()
        assert (result.delay_s[result.completed] <= state.deadline_s[result.completed] * (1 + 1e-12)).all()
        assert result.income == pytest.approx(state.award[result.completed].sum())
        left = physics.next_energy_j(state.energy_j, state.harvest_j, result.spent_j)
        assert (left >= 0).all()
        assert not any(np.isnan(value).any() for value in vars(result).values())


class TestAction:
    def test_one_hot_rows_and_allocations(self) -> None:
        action = Action(np.array([1, -1, 0]), np.array([3e9, 0.0, 1e9]))
        assert action.offload.tolist() == [True, False, True]
        assert action.peer(2).tolist() == [[False, True], [False, False], [True, False]]
        assert action.allocated_hz(2).tolist() == [[0.0, 3e9], [0.0, 0.0], [1e9, 0.0]]


class TestReproducibility:
    def test_the_same_seed_gives_the_same_bits(self) -> None:
        one, other = PhysicalSystem(TINY, 3), PhysicalSystem(TINY, 3)
        for _ in range(10):
            assert same_bits(one.state, other.state)
            assert same_bits(one.step(feasible(one)), other.step(feasible(other)))

    def test_every_policy_meets_the_same_world(self) -> None:
        busy, idle = PhysicalSystem(TINY, 3), PhysicalSystem(TINY, 3)
        for _ in range(10):
            busy.step(feasible(busy))
            idle.step(NOTHING)
            given_to_all = replace(busy.state, energy_j=idle.state.energy_j)
            assert same_bits(given_to_all, idle.state)
        assert (busy.state.energy_j <= idle.state.energy_j).all()

    def test_a_negative_seed_is_refused(self) -> None:
        with pytest.raises(ValueError, match="seed = -3 is not allowed"):
            PhysicalSystem(TINY, -3)

    @pytest.mark.parametrize("fading", ["exponential", "ar1", "path_loss"])
    @pytest.mark.parametrize("state_rate", ["interference-free", "last-slot"])
    def test_a_snapshot_survives_json_bit_for_bit(self, fading, state_rate) -> None:
        scenario = TINY.replace(fading=fading, state_rate=state_rate, links="line")
        system = PhysicalSystem(scenario, 9)
        for _ in range(7):
            system.step(feasible(system))
        saved = json.dumps(system.snapshot())
        expected = [(system.step(feasible(system)), system.state) for _ in range(7)]
        restored = PhysicalSystem(scenario, 9)
        restored.restore(json.loads(saved))
        for result, state in expected:
            assert same_bits(restored.step(feasible(restored)), result)
            assert same_bits(restored.state, state)

    def test_a_snapshot_is_a_copy(self) -> None:
        system = PhysicalSystem(TINY, 9)
        saved = json.dumps(snapshot := system.snapshot())
        system.step(NOTHING)
        assert json.dumps(snapshot) == saved
