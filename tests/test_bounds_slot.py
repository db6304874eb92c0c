"""The bracket around a slot's optimum: against trying every placement, and above every agent at real size."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from worlds import assert_guarantees, random_state, scenarios, seeds

from mecsim.agents import make_agent
from mecsim.bounds import per_slot_bounds
from mecsim.reference.lookup import every_placement
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem, SystemState, feasible, outcome
from mecsim.training import states_met

EXACT = 1e-5
tiny = scenarios(most_bs=3, most_devices=2).filter(lambda one: (one.n_bs + 1) ** one.n_devices <= 4096)


def best_by_trying(scenario: Scenario, state: SystemState) -> float:
    """The income of the best of all placements."""
    return max(
        float((np.where(tried >= 0, state.award, 0.0).sum(axis=1) * feasible(scenario, state, tried)).max())
        for tried in every_placement(scenario)
    )


def small_world(alpha: float, seed: int) -> tuple[Scenario, SystemState]:
    """One to three cells with up to six devices, in turn rich, poor in energy, pressed for time and short of CPU."""
    rng = np.random.default_rng(seed)
    devices = ((5,), (3, 3), (2, 2, 1), (1, 2, 2))[seed % 4]
    scenario = Scenario(
        devices=devices,
        interference=alpha,
        mean_gain=float(rng.choice([0.1, 0.5])),
        cpu_hz=tuple(rng.uniform(2e8, (6e8, 3e9)[seed % 3 > 0], len(devices))),
        links=("all", "line", "star")[seed % 5 % 3],
        deadline_s=(0.2, 0.8) if seed % 7 == 0 else (0.2, 2.0),
    )
    stored = rng.exponential(0.02 if seed % 6 == 0 else 1.0, scenario.n_devices)
    return scenario, replace(PhysicalSystem(scenario, seed).state, energy_j=stored)


def assert_earned(scenario: Scenario, state: SystemState, bracket) -> None:
    """The action keeps every constraint and is paid `lower`."""
    assert_guarantees(scenario, state, bracket.action)
    assert float(outcome(scenario, state, bracket.action).income) == bracket.lower
    assert bracket.lower <= bracket.upper


@pytest.mark.parametrize("alpha", [0.0, 0.03, 1.0])
def test_is_what_trying_every_placement_finds(alpha: float) -> None:
    earning = split = 0
    for seed in range(42):  # every combination of what `small_world` takes in turn
        scenario, state = small_world(alpha, seed)
        best = best_by_trying(scenario, state)
        exact = per_slot_bounds(scenario, state, gap=0.0)
        rough = per_slot_bounds(scenario, state, gap=0.2) if seed < 12 else exact
        stopped = per_slot_bounds(scenario, state, gap=0.0, time_limit_s=0.0) if seed < 12 else exact
        for bracket in (exact, rough, stopped):
            assert_earned(scenario, state, bracket)
            assert bracket.lower * (1.0 - 1e-12) <= best <= bracket.upper * (1.0 + 1e-12), seed
        assert exact.lower == pytest.approx(best, rel=1e-9), seed
        assert exact.upper <= best * (1.0 + EXACT), seed
        assert rough.upper <= rough.lower * (1.0 + 0.2 + EXACT)
        earning += best > 0
        split += exact.boxes > 1
    assert earning > 32
    assert (split > 0) == (alpha > 0)


@hypothesis_settings(max_examples=40)
@given(tiny, seeds)
def test_is_exact_for_any_links_bandwidths_and_capacities(scenario, seed) -> None:
    state = random_state(scenario, seed)
    bracket = per_slot_bounds(scenario, state, gap=0.0)
    assert bracket.lower == pytest.approx(best_by_trying(scenario, state), rel=1e-9)
    assert bracket.upper <= bracket.lower * (1.0 + EXACT)


@pytest.mark.parametrize(("preset", "gap"), [("calibrated", 0.03), ("printed", 0.03), ("physical", 0.1)])
def test_agents_stay_below_the_bound_at_real_size(preset, gap) -> None:
    scenario = Scenario.preset(preset)
    met = states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, 5))
    for state in islice(met, 19, 30, 10):
        bracket = per_slot_bounds(scenario, state, gap, time_limit_s=300.0)
        assert_earned(scenario, state, bracket)
        assert bracket.gap <= gap
        for name in ("all-on", "OLNPO", "LPWPO", "greedy", "thrifty", "planner"):
            action = make_agent(name, scenario).act(state)
            assert float(outcome(scenario, state, action).income) <= bracket.upper


def test_without_interference_a_middling_size_is_solved_exactly() -> None:
    scenario = Scenario(devices=(10, 15, 20), interference=0.0, cpu_hz=(1e9,))
    state = replace(PhysicalSystem(scenario, 3).state, energy_j=np.full(45, 1.0))
    bracket = per_slot_bounds(scenario, state, gap=1e-4, time_limit_s=300.0)
    assert_earned(scenario, state, bracket)
    assert 0 < bracket.gap <= 1e-4


def test_where_nothing_can_be_sent_the_bracket_is_zero() -> None:
    scenario = Scenario(devices=(2, 3))
    bracket = per_slot_bounds(scenario, PhysicalSystem(scenario).state)  # the queues begin empty
    assert (bracket.lower, bracket.upper, bracket.gap) == (0.0, 0.0, 0.0)
    assert not bracket.action.offload.any()


@pytest.mark.parametrize("name", ["gap", "time_limit_s"])
def test_refuses_what_is_negative(name) -> None:
    scenario = Scenario(devices=(1,))
    with pytest.raises(SettingError, match=rf"{name} = -1 is not allowed: it should be 0 or more"):
        per_slot_bounds(scenario, PhysicalSystem(scenario).state, **{name: -1})
