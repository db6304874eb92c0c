"""Line 6 of Algorithm 1: the lazy search for the lowest priority finds what looking at every task would find."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import TINY, random_placement, random_proto, random_state, scenarios, seeds

from mecsim.contest import Contest, Standing
from mecsim.refinement import Refinement, fit_capacity
from mecsim.removal import LiveKeys, discarded, removal_order
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


def standing(contest: Contest, offload: np.ndarray) -> Standing:
    """Every key and demand when some devices transmit."""
    return contest.standing(contest.heard_w(offload))


def fits(contest: Contest, kept: np.ndarray, bs: int) -> bool:
    """Does a BS satisfy (10), with every task on it able to meet its deadline?"""
    keys, demand = standing(contest, kept >= 0)
    members = kept == bs
    return bool((keys[members] > 0).all() and demand[members].sum() <= contest.cpu_hz[bs])


def order_of(contest: Contest, kept: np.ndarray, bs: int) -> list[int]:
    """`removal_order` of one BS."""
    members, heard = np.flatnonzero(kept == bs), contest.heard_w(kept >= 0)
    return removal_order(contest, LiveKeys(contest, kept >= 0), heard, members, float(contest.cpu_hz[bs]))


def one_by_one(contest: Contest, kept: np.ndarray, bs: int) -> list[int]:
    """Lines 5 to 8 with every key worked out after every removal."""
    left, kept, gone = np.flatnonzero(kept == bs).tolist(), kept.copy(), []
    while left and not fits(contest, kept, bs):
        keys = standing(contest, kept >= 0).key
        lowest = min(left, key=lambda task: (contest.tier[task], keys[task], task))
        gone.append(lowest)
        left.remove(lowest)
        kept[lowest] = -1
    return gone


@given(scenarios(), seeds, contest_settings)
def test_the_order_is_that_of_working_out_every_key_after_every_removal(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    for bs in range(scenario.n_bs):
        slow = one_by_one(contest, placement, bs)
        assert order_of(contest, placement, bs)[: len(slow)] == slow


@given(scenarios(), seeds, contest_settings, st.sampled_from([1, 2, 8]))
def test_no_more_tasks_go_than_10_asks_for(scenario, seed, settings, first_look) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    for bs in range(scenario.n_bs):
        members = np.flatnonzero(placement == bs)
        with patch("mecsim.removal.FIRST_LOOK", first_look):
            gone = discarded(contest, LiveKeys(contest, placement >= 0), placement, bs, members)
        assert gone.tolist() == one_by_one(contest, placement, bs)


@pytest.mark.parametrize("alpha", [0.03, 0.3, 1.0])
def test_at_the_paper_s_size_the_lazy_order_runs_too_far_and_the_search_takes_it_back(alpha) -> None:
    scenario, spared = Scenario(interference=alpha, tau_s=12.0, initial_energy_j=1.0), 0
    for seed in range(8):
        state = random_state(scenario, seed)
        contest = Contest.of(scenario, state, scenario.cell, Refinement(), None, None)
        kept = scenario.cell.copy()
        for bs in range(scenario.n_bs):
            gone = one_by_one(contest, kept, bs)
            spared += len(order_of(contest, kept, bs)) > len(gone) + 1
            kept[gone] = -1
        action = fit_capacity(scenario, state, scenario.cell)
        assert action.placement.tolist() == kept.tolist()
    assert spared > 0


@given(scenarios(), seeds, contest_settings)
def test_no_key_falls_when_others_fall_silent(scenario, seed, settings) -> None:
    """What the lazy search rests on: a key worked out earlier is a lower bound of today's."""
    contest, placement = contest_of(scenario, seed, settings)
    offload = placement >= 0
    fewer = offload & (np.random.default_rng(seed + 1).random(offload.size) < 0.5)
    before, after = standing(contest, offload), standing(contest, fewer)
    assert (after.key[fewer] >= before.key[fewer]).all()
    assert (after.demand_hz[fewer] <= before.demand_hz[fewer]).all()


@given(scenarios(), seeds, contest_settings)
def test_one_key_at_a_time_is_the_key_of_all_at_once(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    offload = placement >= 0
    live = LiveKeys(contest, offload)
    live.listen(contest.heard_w(offload))
    for silent in np.random.default_rng(seed).permutation(np.flatnonzero(offload)):
        keys, demand = standing(contest, offload)
        for task in np.flatnonzero(offload):
            key, needs = live.key(task)
            assert key == pytest.approx(keys[task], rel=1e-6)
            if key > 0:
                assert needs == pytest.approx(demand[task], rel=1e-6)
        live.silence(silent)
        offload[silent] = False


@given(scenarios(), seeds, contest_settings)
def test_some_tasks_stand_where_they_stand_among_all(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    heard, tasks = contest.heard_w(placement >= 0), np.flatnonzero(placement >= 0)[::2]
    for one, other in zip(contest.standing(heard, tasks), contest.standing(heard), strict=True):
        assert one.tolist() == other[tasks].tolist()
    both = contest.standing(np.stack([heard, heard / 2]), tasks)
    assert both.key[1].tolist() == contest.standing(heard / 2, tasks).key.tolist()


@given(scenarios(), seeds, contest_settings)
def test_a_task_has_a_positive_key_where_it_can_meet_its_deadline(scenario, seed, settings) -> None:
    contest, placement = contest_of(scenario, seed, settings)
    heard = contest.heard_w(placement >= 0)
    asked = np.inf if contest.asked_hz is None else contest.asked_hz
    able = (contest.slack_s(heard) > 0) & (contest.required_hz(heard) <= asked)
    assert ((contest.standing(heard).key > 0) == able).all()


def test_huge_demands_lose_no_digits() -> None:
    """Demands of some GHz beside one of 1e300 Hz: a float total would forget the small ones."""
    crowded = TINY.replace(mean_gain=1e9, interference=0.0)
    placement, state = np.zeros(crowded.n_devices, int), random_state(crowded, 0)
    contest = Contest.of(crowded, state, placement, Refinement(), None, None)
    contest.cycles[3] = 1e300
    rest = contest.required_hz(contest.heard_w(placement >= 0))[np.arange(crowded.n_devices) != 3]
    full = replace(state, cpu_hz=np.full(crowded.n_bs, rest.sum() - rest.min() / 2))
    contest = replace(contest, state=full)
    gone = discarded(contest, LiveKeys(contest, placement >= 0), placement, 0, np.arange(crowded.n_devices))
    assert gone.tolist() == one_by_one(contest, placement, 0)
    assert len(gone) == 2


@pytest.mark.parametrize("cpu", ["least", "actor"])
def test_a_loud_device_that_goes_leaves_the_others_to_be_heard(cpu) -> None:
    """Subtracted from 1e280, what the others send would be lost, and each would seem to be alone."""
    scenario = Scenario(devices=(12,), interference=1.0, tau_s=12.0)
    for seed in range(10):
        state = random_state(scenario, seed)
        gain, size = state.gain.copy(), state.size_bits.copy()
        gain[0], size[0] = 1e280, 1e300  # too late, and so is everybody who hears it
        state = replace(state, gain=gain, size_bits=size)
        settings = Refinement(hopeless="lowest index", cpu=cpu)
        share = random_proto(scenario, seed).cpu_share
        contest = Contest.of(scenario, state, scenario.cell, settings, share, None)
        gone = discarded(contest, LiveKeys(contest, scenario.cell >= 0), scenario.cell, 0, np.arange(12))
        assert gone.tolist() == one_by_one(contest, scenario.cell, 0)
        assert 1 < len(gone) < 12


def test_a_device_that_speaks_again_is_heard_when_the_sum_is_made_afresh() -> None:
    contest, placement = contest_of(TINY.replace(interference=1.0), 0, Refinement())
    live, everyone = LiveKeys(contest, placement > -2), contest.heard_w(placement > -2)
    live.listen(everyone)
    first_cell = range(TINY.devices[0])
    for task in first_cell:
        live.silence(task)
    live.speak([1])
    live.listen(everyone)
    for task in (0, 2):
        live.silence(task)
    only = contest.heard_w(np.arange(TINY.n_devices) == 1)
    assert live.key(1)[0] == pytest.approx(contest.standing(only).key[1], rel=1e-12)


def test_a_bs_without_tasks_discards_none() -> None:
    contest, placement = contest_of(TINY, 0, Refinement())
    assert len(discarded(contest, LiveKeys(contest, placement >= 0), placement, 0, np.array([], int))) == 0


def test_a_bs_with_room_discards_none() -> None:
    rich = TINY.replace(cpu_hz=1e15, initial_energy_j=10.0, interference=0.0, mean_gain=10.0)
    contest, placement = contest_of(rich, 0, Refinement())
    assert order_of(contest, placement, 0) == []
    assert fits(contest, placement, 0)


def test_hopeless_tasks_go_whatever_room_there_is() -> None:
    rich = TINY.replace(cpu_hz=1e15, deadline_s=(1e-6, 1e-6))
    contest, placement = contest_of(rich, 0, Refinement())
    members = np.flatnonzero(placement == 1)
    assert len(members) > 0
    assert sorted(order_of(contest, placement, 1)) == members.tolist()


def test_worst_slack_first_or_lowest_index_first() -> None:
    hopeless = TINY.replace(deadline_s=(1e-6, 1e-6), interference=0.0)
    for name in ("worst slack", "lowest index"):
        state = random_state(hopeless, 0)
        contest = Contest.of(hopeless, state, hopeless.cell, Refinement(hopeless=name), None, None)
        members = np.flatnonzero(hopeless.cell == 2)
        slack = contest.slack_s(contest.heard_w(hopeless.cell >= 0))[members]
        expected = members[np.argsort(slack)] if name == "worst slack" else members
        assert order_of(contest, hopeless.cell, 2) == expected.tolist()
