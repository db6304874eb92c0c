"""Line 6 of Algorithm 1: the lazy search for the lowest priority finds what looking at every task would find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import TINY, random_placement, random_proto, random_state, scenarios, seeds

from mecsim.refinement import Refinement, fit_capacity
from mecsim.removal import Contest, _LiveKeys, removal_order
from mecsim.scenario import Scenario

contest_settings = st.builds(
    Refinement,
    hopeless=st.sampled_from(["worst slack", "lowest index"]),
    cpu=st.sampled_from(["least", "actor"]),
)


def contest_of(scenario: Scenario, seed: int, settings: Refinement) -> tuple[Contest, np.ndarray]:
    """A contest between the tasks of a random placement, a third of them shielded."""
    state, placement = random_state(scenario, seed), random_placement(scenario, seed)
    shielded = np.random.default_rng(seed).random(scenario.n_devices) < 1 / 3
    share = random_proto(scenario, seed).cpu_share
    return Contest.of(scenario, state, placement, settings, share, shielded), placement


@given(scenarios(), seeds, contest_settings)
def test_the_order_is_that_of_working_out_every_key_after_every_removal(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    for bs in range(scenario.n_bs):
        members = np.flatnonzero(placement == bs)
        left, kept, slow = members.tolist(), placement.copy(), []
        while left and not contest.fits(kept, bs):
            keys = contest.keys(kept >= 0)
            lowest = min(left, key=lambda task: (contest.tier[task], keys[task], task))
            slow.append(lowest)
            left.remove(lowest)
            kept[lowest] = -1
        fast = removal_order(contest, placement, members)
        assert fast[: len(slow)] == slow


@pytest.mark.parametrize("alpha", [0.03, 0.3, 1.0])
def test_no_more_tasks_go_than_10_asks_for(alpha) -> None:
    """At the paper's size the lazy order runs past the last removal that is needed; lines 5-8 stop there."""
    scenario, spared = Scenario(interference=alpha, tau_s=12.0, initial_energy_j=1.0), 0
    for seed in range(8):
        state = random_state(scenario, seed)
        contest = Contest.of(scenario, state, scenario.cell, Refinement(), None, None)
        kept = scenario.cell.copy()
        for bs in range(scenario.n_bs):
            order = removal_order(contest, kept, np.flatnonzero(kept == bs))
            left = iter(order)
            while not contest.fits(kept, bs):
                kept[next(left)] = -1
            spared += len(list(left)) > 1
        action = fit_capacity(scenario, state, scenario.cell)
        assert action.placement.tolist() == kept.tolist()
    assert spared > 0


@given(scenarios(), seeds, contest_settings)
def test_no_key_falls_when_others_fall_silent(scenario, seed, settings) -> None:
    """What the lazy search rests on: a key worked out earlier is a lower bound of today's."""
    contest, placement = contest_of(scenario, seed, settings)
    offload = placement >= 0
    fewer = offload & (np.random.default_rng(seed + 1).random(offload.size) < 0.5)
    assert (contest.keys(fewer)[fewer] >= contest.keys(offload)[fewer]).all()
    assert (contest.required(fewer)[fewer] <= contest.required(offload)[fewer]).all()


@given(scenarios(), seeds, contest_settings)
def test_one_key_at_a_time_is_the_key_of_all_at_once(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    live, offload = _LiveKeys(contest, placement >= 0), placement >= 0
    for silent in np.random.default_rng(seed).permutation(np.flatnonzero(offload)):
        keys, demand = contest.keys(offload), contest.demand_hz(offload)
        for task in np.flatnonzero(offload):
            key, needs = live.key(task)
            assert key == pytest.approx(keys[task], rel=1e-6)
            if key > 0:
                assert needs == pytest.approx(demand[task], rel=1e-6)
        live.silence(silent)
        offload[silent] = False


@given(scenarios(), seeds, contest_settings)
def test_a_task_has_a_positive_key_where_it_can_meet_its_deadline(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    offload = placement >= 0
    able = (contest.slack_s(offload) > 0) & (contest.required(offload) <= contest.asked_hz)
    assert ((contest.keys(offload) > 0) == able).all()


def test_a_bs_without_tasks_discards_none() -> None:
    contest, placement = contest_of(TINY, 0, Refinement())
    assert removal_order(contest, placement, np.array([], int)) == []


def test_a_bs_with_room_discards_none() -> None:
    rich = TINY.replace(cpu_hz=1e15, initial_energy_j=10.0, interference=0.0, mean_gain=10.0)
    contest, placement = contest_of(rich, 0, Refinement())
    order = removal_order(contest, placement, np.flatnonzero(placement == 0))
    assert order == []
    assert contest.fits(placement, 0)


def test_hopeless_tasks_go_whatever_room_there_is() -> None:
    rich = TINY.replace(cpu_hz=1e15, deadline_s=(1e-6, 1e-6))
    contest, placement = contest_of(rich, 0, Refinement())
    members = np.flatnonzero(placement == 1)
    assert len(members) > 0
    assert sorted(removal_order(contest, placement, members)) == members.tolist()


def test_worst_slack_first_or_lowest_index_first() -> None:
    hopeless = TINY.replace(deadline_s=(1e-6, 1e-6), interference=0.0)
    for name in ("worst slack", "lowest index"):
        state = random_state(hopeless, 0)
        contest = Contest.of(hopeless, state, hopeless.cell, Refinement(hopeless=name), None, None)
        members = np.flatnonzero(hopeless.cell == 2)
        slack = contest.slack_s(np.ones(hopeless.n_devices, bool))[members]
        expected = members[np.argsort(slack)] if name == "worst slack" else members
        assert removal_order(contest, hopeless.cell, members) == expected.tolist()
