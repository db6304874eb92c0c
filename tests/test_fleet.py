"""Fleet: each of its twins goes the way of a single twin of the same seed, bit for bit."""

import numpy as np
import pytest
from fleets import assert_same_bits, stacked
from hypothesis import given
from hypothesis import strategies as st
from worlds import TINY, random_placement, random_state, scenarios, seeds

from mecsim.refinement import refine_discrete
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, outcome
from mecsim.twin import DigitalTwin


def check_the_way(scenario: Scenario, worlds: list[int], slots: int) -> float:
    """A fleet and single twins under the same random offers; returns what they earn in all."""
    fleet, twins, earned = (
        PhysicalSystem(scenario, worlds),
        [DigitalTwin(scenario, one) for one in worlds],
        0.0,
    )
    for slot in range(slots):
        assert_same_bits(fleet.state, [twin.state for twin in twins])
        offers = [random_placement(scenario, slot + world) for world in worlds]
        taken = refine_discrete(scenario, fleet.state, np.stack(offers))
        alone = [refine_discrete(scenario, t.state, offer) for t, offer in zip(twins, offers, strict=True)]
        assert_same_bits(taken, alone)
        result = fleet.step(taken)
        assert_same_bits(result, [t.step(action) for t, action in zip(twins, alone, strict=True)])
        earned += result.income.sum()
    return earned


class TestTheWayOfASingleTwin:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_at_the_paper_s_size(self, preset) -> None:
        assert check_the_way(Scenario.preset(preset), [5, 0, 70], slots=8) > 0

    @pytest.mark.parametrize("power_drawn", ["once", "each slot"])
    @pytest.mark.parametrize("fading", ["exponential", "constant", "ar1", "path_loss"])
    def test_with_every_fading_and_power(self, fading, power_drawn) -> None:
        scenario = TINY.replace(fading=fading, power_drawn=power_drawn, mean_gain=1.0)
        assert check_the_way(scenario, [3, 4], slots=8) > 0

    @pytest.mark.parametrize("state_rate", ["interference-free", "all-transmit", "last-slot"])
    def test_with_every_rate_in_the_state(self, state_rate) -> None:
        assert check_the_way(TINY.replace(state_rate=state_rate, mean_gain=1.0), [3, 4], slots=8) > 0

    def test_with_a_battery_scales_and_bss_that_differ(self) -> None:
        scenario = Scenario(
            devices=(1, 9, 4),
            links="line",
            battery_j=0.01,
            initial_energy_j=1.0,
            cpu_hz=(5e8, 1e9, 3e9),
            gain_scale=(1.0, 2.0, 0.5),
            deadline_scale=(1.0, 2.0, 3.0),
            award_scale=(1.0, 2.0, 3.0),
            size_scale=(2.0, 1.0, 1.0),
        )
        assert check_the_way(scenario, [8, 1, 2], slots=8) > 0

    @given(scenarios(), st.lists(st.integers(0, 2**40), min_size=1, max_size=3))
    def test_in_any_system(self, scenario, worlds) -> None:
        check_the_way(scenario, worlds, slots=3)


@given(scenarios(), seeds)
def test_outcomes_of_any_decision_are_those_of_each_alone(scenario, seed) -> None:
    """Also of one that promises CPU that is not there, gives a task none, or lacks the energy (A23)."""
    rng = np.random.default_rng(seed)
    states = [random_state(scenario, seed + i) for i in range(3)]
    placements = [random_placement(scenario, seed + i) for i in range(3)]
    given_hz = [np.where(p >= 0, rng.choice([0.0, 1e7, 4e8], p.size), 0.0) for p in placements]
    singles = [Action(*pair) for pair in zip(placements, given_hz, strict=True)]
    batch = Action(np.stack(placements), np.stack(given_hz))
    assert_same_bits(
        outcome(scenario, stacked(states), batch),
        [outcome(scenario, state, action) for state, action in zip(states, singles, strict=True)],
    )


def test_shapes() -> None:
    fleet = PhysicalSystem(TINY, range(7))
    assert fleet.worlds == (7,)
    nothing = Action(np.full((7, TINY.n_devices), -1), np.zeros((7, TINY.n_devices)))
    result = fleet.step(nothing)
    assert (result.income.shape, result.spent_j.shape, result.cpu_used_hz.shape) == ((7,), (7, 12), (7, 3))
    assert fleet.state.slot == 1
    assert fleet.state.gain.shape == (7, 12)
    assert (fleet.state.cpu_hz.shape, fleet.state.link_bps.shape) == ((3,), (3, 3))


def test_a_fleet_of_none_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"seed = \[\] is not allowed: there should be at least one world."
    ):
        PhysicalSystem(TINY, [])


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed = -1 is not allowed"):
        PhysicalSystem(TINY, [3, -1])
