"""Equations (2)-(11) and (18): against numbers worked out by hand, and against the paper's sums task by task."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import one_hot, random_placement, random_state, scenarios, seeds

from mecsim import physics
from mecsim.reference import literal
from mecsim.refinement import keep_affordable
from mecsim.system import Action, outcome, uplink

CELL = np.array([0, 0, 1])  # two devices served by BS-1, one by BS-2


def exactly(values) -> object:
    """Equal up to the last bits of floating-point arithmetic."""
    return pytest.approx(values, rel=1e-12, abs=0)


class TestByHand:
    @pytest.mark.parametrize(
        ("sending", "alpha", "heard"),
        [
            ([True, True, True], 1.0, [0.02, 0.01, 0.0]),  # the cell mates that transmit
            ([True, True, True], 0.5, [0.01, 0.005, 0.0]),
            ([True, False, True], 1.0, [0.0, 0.01, 0.0]),  # the silent device hears
            ([False, False, False], 1.0, [0.0, 0.0, 0.0]),
        ],
    )
    def test_interference_3(self, sending, alpha, heard) -> None:
        received = np.array([0.01, 0.02, 0.04])
        assert physics.interference_w(np.array(sending), received, CELL, 2, alpha) == exactly(heard)

    def test_uplink_rate_2(self) -> None:
        # B N0 = 1e6 x 1e-8 = 0.01 W. 1 + 0.03 / 0.01 = 4, log2 4 = 2, times 1 MHz.
        # With 0.01 W of interference: 1 + 0.06 / 0.02 = 4 again.
        rate = physics.uplink_rate_bps(np.array([0.03, 0.06]), np.array([0.0, 0.01]), 1e6, 1e-8)
        assert rate == exactly([2e6, 2e6])

    def test_uplink_delay_4(self) -> None:
        delay = physics.uplink_delay_s(
            np.array([60e3, 60e3, 60e3]), np.array([True, False, True]), np.array([2e6, 2e6, 0.0])
        )
        assert delay.tolist() == [0.03, 0.0, np.inf]

    def test_energy_and_constraint_5(self) -> None:
        needed = physics.uplink_energy_j(np.array([0.1, 0.1]), np.array([0.03, 0.05]))
        assert needed == exactly([0.003, 0.005])
        assert physics.affordable(needed, np.array([0.004, 0.004])).tolist() == [True, False]
        assert physics.affordable(np.array([0.0, np.inf]), np.array([0.0, 1.0])).tolist() == [True, False]

    def test_energy_queue_6_and_a_battery_of_finite_capacity_a5(self) -> None:
        energy, harvest, spent = np.array([[0.01, 0.003], [0.004, 0.004], [0.003, 0.0]])
        assert physics.next_energy_j(energy, harvest, spent) == exactly([0.011, 0.007])
        assert physics.next_energy_j(energy, harvest, spent, battery_j=0.01) == exactly([0.01, 0.007])

    @pytest.mark.parametrize(
        ("there", "back", "delays"),
        [(1e6, 2e6, [0.05, 0.0, 0.025, 0.0]), (0.0, 0.0, [np.inf, 0.0, np.inf, 0.0])],
    )
    def test_link_delay_8_from_the_serving_bs_to_the_computing_one(self, there, back, delays) -> None:
        # 50 kbit over 1 Mbit/s = 0.05 s; at home and discarded 0; no link, no arrival.
        links, cell = np.array([[np.inf, there], [back, np.inf]]), np.array([0, 0, 1, 1])
        found = physics.link_delay_s(np.full(4, 50e3), np.array([1, 0, 0, -1]), cell, links)
        assert found == exactly(delays)

    def test_compute_delay_9(self) -> None:
        # 50 kbit x 4000 cycles/bit = 2e8 cycles, at 1 GHz 0.2 s.
        cycles = np.full(3, 50e3 * 4000)
        delay = physics.compute_delay_s(cycles, np.array([True, True, False]), np.array([1e9, 0.0, 0.0]))
        assert delay.tolist() == [0.2, np.inf, 0.0]

    def test_cpu_used_10_sums_over_the_bs_that_computes(self) -> None:
        used = physics.cpu_used_hz(np.array([1, -1, 1]), np.array([1e9, 7e9, 2e9]), 2)
        assert used.tolist() == [0.0, 3e9]

    def test_deadline_and_income_11(self) -> None:
        in_time = physics.on_time(np.array([1.0, 1.01, 0.5]), np.array([1.0, 1.0, 2.0]))
        assert in_time.tolist() == [True, False, True]
        assert physics.income(np.array([1.5, 2.0, 3.0]), in_time) == 4.5

    def test_slack_and_least_cpu_18(self) -> None:
        # 1.0 - 0.3 - 0.2 = 0.5 s for 2e8 cycles: 0.4 GHz. No time left: no CPU is enough.
        left = physics.slack_s(np.array([1.0, 0.5, 0.4]), 0.3, 0.2)
        assert left == pytest.approx([0.5, 0.0, -0.1], abs=1e-15)
        assert physics.required_cpu_hz(2e8, np.array([0.5, 0.0, -0.1])).tolist() == [4e8, np.inf, np.inf]

    def test_processing_priority_is_award_over_least_cpu(self) -> None:
        priority = physics.processing_priority(np.array([2.0, 2.0]), np.array([4e8, np.inf]))
        assert priority.tolist() == [5e-9, 0.0]

    def test_a_cell_without_devices_and_no_state_at_all_sum_to_zero_and_to_nothing(self) -> None:
        assert physics.cell_sum(np.array([1.0, 2.0, 4.0]), CELL, 4).tolist() == [3.0, 4.0, 0.0, 0.0]
        none = physics.cell_sum(np.empty((0, 3)), np.empty((0, 3), int), 4)
        assert (none.shape, none.dtype) == ((0, 4), np.float64)


@given(scenarios(), seeds)
def test_radio_equals_the_sums_of_the_paper(scenario, seed) -> None:
    state, offload = random_state(scenario, seed), random_placement(scenario, seed) >= 0
    slot, x = literal.Slot.of(scenario, state), offload.astype(int).tolist()
    heard = physics.interference_w(
        offload, state.received_w, scenario.cell, scenario.n_bs, scenario.interference
    )
    radio = uplink(scenario, state, offload)
    # G = (sum over the cell) - (own) loses the last bits where own dominates, as seen from B N0.
    floor = 1e-15 * state.received_w.max()
    assert heard == pytest.approx([literal.interference(slot, x, j) for j in slot.tasks], rel=1e-9, abs=floor)
    assert radio.rate_bps == pytest.approx([literal.rate(slot, x, j) for j in slot.tasks], rel=1e-9)
    assert radio.delay_s == pytest.approx([literal.uplink_delay(slot, x, j) for j in slot.tasks], rel=1e-9)
    afford = physics.affordable(radio.energy_j, state.energy_j)
    assert afford.tolist() == [literal.has_energy(slot, x, j) for j in slot.tasks]
    moved = physics.next_energy_j(state.energy_j, state.harvest_j, np.where(afford, radio.energy_j, 0.0))
    sent = [j for j in slot.tasks if afford[j]]
    assert moved[sent] == pytest.approx([literal.next_energy(slot, x, j) for j in sent], rel=1e-9, abs=1e-12)


@given(scenarios(), seeds)
def test_delays_cpu_and_income_equal_the_sums_of_the_paper(scenario, seed) -> None:
    """Of any decision by the devices that can pay for it: what (10) would cut is not in these equations."""
    state, rng = random_state(scenario, seed), np.random.default_rng(seed)
    placement = keep_affordable(scenario, state, random_placement(scenario, seed))
    cpu = np.where(
        placement >= 0, rng.exponential(scenario.cpu_hz[0] / scenario.n_devices, placement.size), 0.0
    )
    action, slot = Action(placement, cpu), literal.Slot.of(scenario, state)
    (x, y), f = one_hot(scenario, placement), action.allocated_hz(scenario.n_bs).tolist()

    link = physics.link_delay_s(state.size_bits, placement, scenario.cell, state.link_bps)
    assert link == exactly([literal.link_delay(slot, x, y, j) for j in slot.tasks])
    compute = physics.compute_delay_s(state.cycles, action.offload, cpu)
    assert compute == exactly([literal.compute_delay(slot, x, f, j) for j in slot.tasks])
    sent_s = uplink(scenario, state, action.offload).delay_s
    least = physics.required_cpu_hz(state.cycles, physics.slack_s(state.deadline_s, sent_s, link))
    for j in np.flatnonzero(action.offload):
        assert least[j] == pytest.approx(literal.least_cpu(slot, x, y, j), rel=1e-6)

    result = outcome(scenario, state, action)
    assert result.powered.all()
    used = physics.cpu_used_hz(placement, cpu, scenario.n_bs)
    assert used == pytest.approx([literal.cpu_used(slot, f, to) for to in slot.stations], rel=1e-12)
    if (used <= state.cpu_hz).all():
        times = [literal.completion_time(slot, x, y, f, j) for j in slot.tasks]
        assert result.delay_s == pytest.approx(times, rel=1e-9)
        assert result.income == pytest.approx(literal.income(slot, x, y, f), rel=1e-12)


@given(st.lists(st.floats(0.0, 1e300), min_size=1, max_size=6))
def test_interference_is_never_negative_and_never_not_a_number(received) -> None:
    heard = physics.interference_w(
        np.ones(len(received), bool), np.array(received), np.zeros(len(received), int), 1
    )
    assert (heard >= 0).all()


def test_a_task_that_takes_exactly_its_deadline_is_paid() -> None:
    """f = l of (18) meets the deadline exactly; rounding must not cost the award."""
    rng = np.random.default_rng(0)
    deadline, cycles = rng.uniform(0.2, 2.0, 10_000), rng.uniform(1.5e8, 6.4e8, 10_000)
    uplink_s, link_s = rng.uniform(0, 0.1, 10_000), rng.uniform(0, 0.05, 10_000)
    least = physics.required_cpu_hz(cycles, physics.slack_s(deadline, uplink_s, link_s))
    total = uplink_s + link_s + physics.compute_delay_s(cycles, np.ones(10_000, bool), least)
    assert (total > deadline).any()  # rounding does go over
    assert physics.on_time(total, deadline).all()
