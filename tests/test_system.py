"""The plant: eq. (6) slot by slot, what the state shows, infeasible actions (A23), and where chance comes in."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from scipy import stats
from worlds import TINY, place, random_placement, random_state, same_bits, scenarios, seeds

from mecsim import physics
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import STREAMS, Action, Draw, PhysicalSystem, Sources, SystemState, outcome, stream, uplink

NOTHING = place(*[-1] * TINY.n_devices)


def feasible(system: PhysicalSystem) -> Action:
    """A valid action that places tasks at random."""
    placement = random_placement(system.scenario, system.state.slot)
    return refine_discrete(system.scenario, system.state, placement)


class TestEnergyQueue:
    def test_starts_at_q0(self) -> None:
        assert (PhysicalSystem(TINY).state.energy_j == 0.0).all()
        assert (PhysicalSystem(TINY.replace(initial_energy_j=0.5)).state.energy_j == 0.5).all()

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
    def test_every_policy_meets_the_same_world(self) -> None:
        busy, idle = PhysicalSystem(TINY, 3), PhysicalSystem(TINY, 3)
        for _ in range(10):
            busy.step(feasible(busy))
            idle.step(NOTHING)
            given_to_all = replace(busy.state, energy_j=idle.state.energy_j)
            assert same_bits(given_to_all, idle.state)
        assert (busy.state.energy_j <= idle.state.energy_j).all()

    @pytest.mark.parametrize("fading", ["exponential", "constant", "ar1", "path_loss"])
    @pytest.mark.parametrize("power_drawn", ["once", "each slot"])
    def test_a_snapshot_is_a_copy_that_survives_json_bit_for_bit(self, fading, power_drawn) -> None:
        scenario = TINY.replace(
            fading=fading, power_drawn=power_drawn, state_rate="last-slot", links="line", mean_gain=1.0
        )
        system = PhysicalSystem(scenario, 9)
        for _ in range(4):
            system.step(feasible(system))
        saved = json.dumps(snapshot := system.snapshot())
        expected = [(system.step(feasible(system)), system.state) for _ in range(4)]
        assert json.dumps(snapshot) == saved
        restored = PhysicalSystem(scenario, 9)
        restored.restore(json.loads(saved))
        for result, state in expected:
            assert same_bits(restored.step(feasible(restored)), result)
            assert same_bits(restored.state, state)


def draws(scenario: Scenario, slots: int = 400, seed: int = 0) -> Draw:
    """The draws of many slots, each field (slots, n_devices)."""
    sources = Sources(scenario, seed)
    return Draw(*(np.array(field) for field in zip(*(sources.draw() for _ in range(slots)), strict=True)))


UNIFORM = [
    ("size_bits", 50e3, 80e3),
    ("density_cycles_per_bit", 3000, 8000),
    ("deadline_s", 0.2, 2.0),
    ("award", 1, 3),
    ("harvest_j", 3e-3, 4.5e-3),  # U[1, 1.5] mW for 3 s (A4)
]


class TestRanges:
    @pytest.mark.parametrize(("name", "low", "high"), UNIFORM)
    def test_uniform_over_the_paper_s_range(self, name, low, high) -> None:
        values = getattr(draws(TINY), name).ravel()
        assert low <= values.min() < values.max() < high
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3

    def test_no_quantity_repeats_the_numbers_of_another(self) -> None:
        drawn = draws(TINY, slots=50)
        luck = np.array([(getattr(drawn, name) - low) / (high - low) for name, low, high in UNIFORM])
        assert len(np.unique(luck.round(9))) == luck.size

    def test_power_is_drawn_once_or_each_slot(self) -> None:
        wide = Scenario(devices=(1000,))
        once = draws(wide, slots=3).power_w
        assert (once == once[0]).all()
        assert stats.kstest(once[0], stats.uniform(0.05, 0.13).cdf).pvalue > 1e-3
        each = draws(wide.replace(power_drawn="each slot"), slots=3).power_w
        assert (each[0] != each[1]).all()
        assert stats.kstest(each.ravel(), stats.uniform(0.05, 0.13).cdf).pvalue > 1e-3

    def test_harvest_in_joules_does_not_know_the_slot(self) -> None:
        short, long = (draws(TINY.replace(harvest_unit="energy", tau_s=tau)).harvest_j for tau in (2.0, 20.0))
        assert np.array_equal(short, long)
        assert 1e-3 <= short.min() < short.max() < 1.5e-3

    def test_a_single_number_is_a_constant(self) -> None:
        values = draws(TINY.replace(size_bits=6e4, award=2), slots=5)
        assert (values.size_bits == 6e4).all()
        assert (values.award == 2).all()


class TestFading:
    def test_exponential_has_mean_one_and_is_drawn_anew(self) -> None:
        gain = draws(TINY.replace(mean_gain=0.3)).gain / 0.3
        assert stats.kstest(gain.ravel(), stats.expon.cdf).pvalue > 1e-3
        assert abs(lag_one(gain)) < 5 / np.sqrt(gain.size)

    def test_constant(self) -> None:
        assert (draws(TINY.replace(fading="constant", mean_gain=0.3), slots=5).gain == 0.3).all()

    @pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
    def test_ar1_has_mean_one_an_exponential_law_and_the_square_of_its_memory(self, memory) -> None:
        """The gain is |a|^2 of a complex AR(1) a, whose autocorrelation is that of a squared."""
        wide = Scenario(devices=(300,), fading="ar1", fading_memory=memory, mean_gain=1.0)
        gain = draws(wide, slots=300).gain
        effective = gain.size * (1 - memory**2) / (1 + memory**2)
        assert abs(gain.mean() - 1.0) < 5 / np.sqrt(effective)
        assert stats.kstest(gain[::100].ravel(), stats.expon.cdf).pvalue > 1e-3
        assert lag_one(gain) == pytest.approx(memory**2, abs=0.03)

    def test_path_loss_follows_the_place_of_a_device_in_its_cell_and_fades_around_it(self) -> None:
        scenario = Scenario(devices=(2000,), fading="path_loss", mean_gain=2.0, path_loss_exponent=3.0)
        gain = draws(scenario).gain
        distance = (gain.mean(axis=0) / 2.0) ** (-1 / 3.0)  # 1 at the edge of the cell
        assert 0.045 <= distance.min() < distance.max() < 1.1
        uniform_over_the_disc = stats.uniform(0.05**2, 1 - 0.05**2)
        assert stats.kstest(distance**2, uniform_over_the_disc.cdf).pvalue > 1e-3
        assert stats.kstest(gain[0] / gain.mean(axis=0), stats.expon.cdf).pvalue > 1e-3


def lag_one(values: np.ndarray) -> float:
    """Autocorrelation of lag one slot, over all devices."""
    centred = values - values.mean()
    return float((centred[1:] * centred[:-1]).mean() / centred.var())


class TestCommonRandomNumbers:
    @pytest.mark.parametrize(
        ("scale", "field"),
        [
            ("award_scale", "award"),
            ("density_scale", "density_cycles_per_bit"),
            ("gain_scale", "gain"),
            ("harvest_scale", "harvest_j"),
            ("size_scale", "size_bits"),
        ],
    )
    def test_a_scale_multiplies_its_own_quantity_in_its_own_cell(self, scale, field) -> None:
        plain, scaled = draws(TINY, slots=20), draws(TINY.replace(**{scale: (2.0, 1.0, 0.5)}), slots=20)
        for name in Draw._fields:
            factor = np.array([2.0, 1.0, 0.5])[TINY.cell] if name == field else 1.0
            assert getattr(scaled, name) == pytest.approx(getattr(plain, name) * factor, rel=1e-15)

    def test_psi_raises_the_lower_end_of_the_deadline(self) -> None:
        plain, scaled = draws(TINY), draws(TINY.replace(deadline_scale=(4.0, 1.0, 2.0)))
        low = 0.2 * np.array([4.0, 1.0, 2.0])[TINY.cell]
        luck = (plain.deadline_s - 0.2) / 1.8
        assert scaled.deadline_s == pytest.approx(low + (2.0 - low) * luck, rel=1e-12)
        assert (scaled.deadline_s >= plain.deadline_s).all()
        assert scaled.deadline_s.max() < 2.0

    def test_other_ranges_meet_the_same_luck(self) -> None:
        plain = draws(TINY, slots=20)
        other = draws(TINY.replace(size_bits=(0.5, 1.5), award=(10.0, 20.0), mean_gain=5.0), slots=20)
        assert other.size_bits - 0.5 == pytest.approx((plain.size_bits - 50e3) / 30e3, rel=1e-9)
        assert (other.award - 10) / 10 == pytest.approx((plain.award - 1) / 2, rel=1e-9)
        assert other.gain == pytest.approx(plain.gain * 50, rel=1e-12)

    @pytest.mark.parametrize(
        ("changes", "touched"),
        [
            ({"power_drawn": "each slot"}, {"power_w"}),
            ({"fading": "ar1"}, {"gain"}),
            ({"fading": "constant"}, {"gain"}),
            ({"fading": "path_loss"}, {"gain", "power_w"}),
            ({"harvest_unit": "energy"}, {"harvest_j"}),
        ],
    )
    def test_one_process_does_not_disturb_the_others(self, changes, touched) -> None:
        plain, other = draws(TINY, slots=20), draws(TINY.replace(**changes), slots=20)
        same = {name: np.array_equal(getattr(plain, name), getattr(other, name)) for name in Draw._fields}
        assert {name for name, equal in same.items() if not equal} == touched


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_numbers() -> None:
    one, same, other = (draws(TINY, slots=3, seed=seed) for seed in (4, 4, 5))
    assert same_bits(one, same)
    for name in Draw._fields:
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_every_seed_and_name_has_a_stream_of_its_own_the_same_each_time() -> None:
    first, again = (
        {(seed, name): float(stream(seed, name).random()) for seed in range(50) for name in STREAMS}
        for _ in range(2)
    )
    assert first == again
    assert len(set(first.values())) == 50 * len(STREAMS)


def test_a_bad_seed_or_name_is_refused() -> None:
    with pytest.raises(ValueError, match="seed = -1 is not allowed: it should be a whole number, 0 or more"):
        stream(-1, "tasks")
    with pytest.raises(ValueError, match="weather"):
        stream(0, "weather")


def test_devices_can_have_a_seed_of_their_own_and_as_many_as_there_are_worlds() -> None:
    own = PhysicalSystem(Scenario(), 1, device_seed=2).state
    one, two = (PhysicalSystem(Scenario(), seed).state for seed in (1, 2))
    assert np.array_equal(own.power_w, two.power_w)
    assert np.array_equal(own.gain, one.gain)
    for seed, device_seed in ((1, [1, 2]), ([1, 2], 3), ([1, 2], [3])):
        with pytest.raises(SettingError, match=r"device_seed = .* is not allowed: there should be as many"):
            PhysicalSystem(Scenario(), seed, device_seed=device_seed)
