"""Algorithm 1: line 1 against brute force, all of it against the paper's loops and by hand."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from worlds import (
    EVERY_SETTING,
    OF_THE_PAPER,
    TINY,
    as_placement,
    one_hot,
    random_placement,
    random_proto,
    random_state,
    same_bits,
    scenarios,
    seeds,
    stacked,
    stacked_protos,
)

from mecsim.mdp import Encoder
from mecsim.reference import literal
from mecsim.refinement import (
    ProtoAction,
    Refinement,
    fit_capacity,
    keep_affordable,
    nearest_discrete,
    refine,
    refine_discrete,
)
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, SystemState, feasible, outcome, uplink
from mecsim.twin import DigitalTwin

READINGS = ("reassess", "one-shot")
SMALL = st.integers(1, 3)


class TestNearestDiscreteAction:
    """Eq. (15). Numbers are multiples of 1/4, which floating-point arithmetic handles exactly: ties are ties."""

    @staticmethod
    def protos(low: int, high: int) -> st.SearchStrategy:
        quarter = st.integers(low, high).map(lambda n: n / 4)

        def of(size: tuple[int, int]) -> st.SearchStrategy:
            n, k = size
            row = st.lists(quarter, min_size=k, max_size=k)
            return st.tuples(st.lists(quarter, min_size=n, max_size=n), st.lists(row, min_size=n, max_size=n))

        return st.tuples(SMALL, SMALL).flatmap(of)

    @given(protos(-8, 12))
    @hypothesis_settings(max_examples=60)
    def test_equals_brute_force_in_the_euclidean_norm(self, proto) -> None:
        found = nearest_discrete(np.array(proto[0]), np.array(proto[1]))
        assert found.tolist() == as_placement(literal.nearest(*proto, literal.euclid)[1])

    @given(protos(0, 4))
    @hypothesis_settings(max_examples=60)
    def test_equals_brute_force_in_the_l1_norm_on_the_range_of_an_actor(self, proto) -> None:
        found = nearest_discrete(np.array(proto[0]), np.array(proto[1]))
        assert found.tolist() == as_placement(literal.nearest(*proto, literal.manhattan)[1])

    def test_outside_the_unit_interval_the_two_norms_may_differ_and_the_euclidean_decides(self) -> None:
        x_hat, y_hat = [1.5], [[-0.25]]
        assert literal.nearest(x_hat, y_hat, literal.euclid)[0] == [1]
        assert literal.nearest(x_hat, y_hat, literal.manhattan)[0] == [0]
        assert nearest_discrete(np.array(x_hat), np.array(y_hat)).tolist() == [0]

    def test_ties_go_to_the_discard_then_to_the_lowest_bs(self) -> None:
        assert nearest_discrete(np.array([0.5]), np.array([[0.5, 0.5]])).tolist() == [-1]
        assert nearest_discrete(np.array([0.75]), np.array([[0.25, 0.5, 0.5]])).tolist() == [1]

    def test_an_order_from_before_rounding_breaks_ties_and_decides_nothing_else(self) -> None:
        offload, peer = np.array([1.0, 0.5, 0.2]), np.array([[1.0, 1.0], [0.5, 0.5], [0.7, 0.6]])
        order = np.array([[20.0, 30.0], [0.0, 1e-9], [0.8, 0.4]])
        assert nearest_discrete(offload, peer, order).tolist() == [1, -1, -1]
        assert nearest_discrete(offload, peer).tolist() == [0, -1, -1]

    @pytest.mark.parametrize(
        ("x", "y", "placement"),
        [
            (np.inf, [np.inf, 0.0], 0),
            (np.inf, [0.0, 0.5], 1),
            (-np.inf, [1.0, 1.0], -1),
            (0.9, [-np.inf, np.inf], 1),
            (0.9, [-np.inf, -np.inf], -1),
            (1e300, [0.0, 0.0], 0),
            (1.7e308, [1.7e308, 0.0], 0),
            (-1e300, [1e300, 0.0], -1),
            (0.0, [0.0, 0.0], -1),
            (np.inf, [-np.inf, -np.inf], -1),  # opposite infinities are a tie
            (-np.inf, [np.inf, np.inf], -1),
        ],
    )
    def test_infinite_and_extreme_outputs(self, x: float, y: list[float], placement: int) -> None:
        assert nearest_discrete(np.array([x]), np.array([y])).tolist() == [placement]


def check_against_the_loops(scenario: Scenario, seed: int, settings: Refinement) -> None:
    """`refine` does what the literal Algorithm 1 does: the same tasks on the same BSs with the same CPU."""
    state, proto = random_state(scenario, seed), random_proto(scenario, seed)
    slot, (x, y, f) = literal.Slot.of(scenario, state), (part.tolist() for part in proto[:3])
    f_hat = f if settings.cpu == "actor" else None
    _, y, f = literal.algorithm_1(
        slot, x, y, settings.reading, settings.hopeless, f_hat, one_shot_cpu=settings.one_shot_cpu
    )
    same_as(
        refine(scenario, state, proto, settings),
        y,
        literal.share_out(slot, f) if settings.cpu == "pro rata" else f,
    )


def same_as(action: Action, y: list, f: list) -> None:
    assert action.placement.tolist() == as_placement(y)
    assert action.allocated_hz(len(y[0])) == pytest.approx(np.array(f), rel=1e-6)


def one_by_one(scenario: Scenario, state: SystemState, placement: np.ndarray) -> list[int]:
    """Line 2 for one device of a cell after the other: whoever lacks most goes first, and the rest is asked again."""
    kept = placement.copy()
    for cell in range(scenario.n_bs):
        while True:
            lack = uplink(scenario, state, kept >= 0).energy_j - state.energy_j * (1 + 1e-12)
            short = [device for device in np.flatnonzero(scenario.cell == cell) if lack[device] > 0]
            if not short:
                break
            kept[max(short, key=lambda device: lack[device])] = -1
    return kept.tolist()


def mirror(scenario: Scenario, state: SystemState, order: np.ndarray) -> tuple[Scenario, SystemState]:
    """The same system with its BSs numbered the other way round; `order` sorts its devices by the new cells."""
    back = {name: getattr(scenario, name)[::-1] for name in ("devices", "cpu_hz", "bandwidth_hz")}
    links = tuple((scenario.n_bs - 1 - a, scenario.n_bs - 1 - b) for a, b in scenario._linked_pairs())
    turned = scenario.replace(**back, links=links)
    arrays = {
        name: value[order] for name, value in vars(state).items() if np.shape(value) == (scenario.n_devices,)
    }
    return turned, replace(
        state, **arrays | {"cpu_hz": state.cpu_hz[::-1], "link_bps": turned.link_rates_bps}
    )


def _from_the_end(scenario: Scenario, placement: np.ndarray) -> np.ndarray:
    return np.where(placement >= 0, scenario.n_bs - 1 - placement, -1)


class TestAgainstTheLoopsOfThePaper:
    @given(scenarios(), seeds, st.sampled_from(OF_THE_PAPER))
    @hypothesis_settings(max_examples=300)
    def test_any_small_system_in_every_reading_of_the_paper(self, scenario, seed, settings) -> None:
        check_against_the_loops(scenario, seed, settings)

    @pytest.mark.parametrize("reading", READINGS)
    @pytest.mark.parametrize("preset", PRESETS)
    def test_the_paper_s_size(self, preset, reading) -> None:
        check_against_the_loops(Scenario.preset(preset), 11, Refinement(reading=reading))

    @given(scenarios(), seeds, st.sampled_from(READINGS))
    def test_random_placements_and_shielded_tasks(self, scenario, seed, reading) -> None:
        state, placement = random_state(scenario, seed), random_placement(scenario, seed)
        shielded = np.random.default_rng(seed).random(scenario.n_devices) < 0.5
        slot = literal.Slot.of(scenario, state)
        x, y = literal.with_energy(slot, *one_hot(scenario, placement))
        powered = keep_affordable(scenario, state, placement)
        assert powered.tolist() == as_placement(y)
        action = fit_capacity(scenario, state, powered, Refinement(reading=reading), shielded=shielded)
        _, y, f = literal.fit_capacity(slot, x, y, reading, shielded=shielded.tolist())
        same_as(action, y, f)

    @given(scenarios(), seeds)
    def test_energy_judged_one_by_one(self, scenario, seed) -> None:
        state, placement = random_state(scenario, seed), random_placement(scenario, seed)
        found = keep_affordable(scenario, state, placement, Refinement(energy="one by one"))
        assert found.tolist() == one_by_one(scenario, state, placement)

    @given(scenarios(), seeds)
    def test_visiting_the_last_bs_first_is_numbering_them_the_other_way_round(self, scenario, seed) -> None:
        state, placement = random_state(scenario, seed), random_placement(scenario, seed)
        powered = keep_affordable(scenario, state, placement)
        found = fit_capacity(scenario, state, powered, Refinement(stations="last first"))
        order = np.argsort(-scenario.cell, kind="stable")
        turned, mirrored = mirror(scenario, state, order)
        other = fit_capacity(turned, mirrored, _from_the_end(scenario, powered)[order])
        assert _from_the_end(scenario, found.placement)[order].tolist() == other.placement.tolist()


def one_cell(n: int, **changes: float) -> tuple[Scenario, SystemState]:
    """One BS with n equal devices that do not hear each other: each uploads in 0.1 s and then needs 1 GHz."""
    scenario = Scenario(devices=(n,), interference=0.0, cpu_hz=5e9, **changes)
    ones = np.ones(n)
    # B log2(1 + 0.1 x 0.1 / 0.01) = 1 Mbit/s, 0.1 Mbit: 0.1 s. 0.1e6 x 5000 = 5e8 cycles in the 0.5 s left: 1 GHz.
    state = replace(
        PhysicalSystem(scenario).state,
        size_bits=1e5 * ones,
        density_cycles_per_bit=5000 * ones,
        deadline_s=0.6 * ones,
        award=ones,
        power_w=0.1 * ones,
        gain=0.1 * ones,
        energy_j=ones,
    )
    return scenario, state


class TestByHand:
    @pytest.mark.parametrize("reading", READINGS)
    def test_what_fits_is_kept_with_the_least_cpu(self, reading) -> None:
        scenario, state = one_cell(4)
        action = refine_discrete(scenario, state, np.zeros(4, int), Refinement(reading=reading))
        assert action.placement.tolist() == [0, 0, 0, 0]
        assert action.cpu_hz == pytest.approx([1e9] * 4, rel=1e-12)

    @pytest.mark.parametrize("reading", READINGS)
    def test_the_lowest_priority_goes_first(self, reading) -> None:
        # Seven tasks of 1 GHz on 5 GHz: two go, those of the smallest award per Hz.
        scenario, state = one_cell(7)
        state = replace(
            state, award=np.array([2.0, 1.0, 3.0, 1.5, 2.0, 2.0, 2.0]), cpu_hz=np.array([5.000001e9])
        )
        action = refine_discrete(scenario, state, np.zeros(7, int), Refinement(reading=reading))
        assert action.placement.tolist() == [0, -1, 0, -1, 0, 0, 0]

    @pytest.mark.parametrize("reading", READINGS)
    def test_a_device_without_energy_is_discarded_16_17(self, reading) -> None:
        scenario, state = one_cell(3)  # 0.1 W for 0.1 s takes 0.01 J
        state = replace(state, energy_j=np.array([0.0101, 0.0099, 0.0]))
        action = refine_discrete(scenario, state, np.zeros(3, int), Refinement(reading=reading))
        assert action.placement.tolist() == [0, -1, -1]
        assert action.cpu_hz[1:].tolist() == [0.0, 0.0]

    @pytest.mark.parametrize(("hopeless", "kept"), [("worst slack", [0, -1]), ("lowest index", [-1, 0])])
    def test_the_order_of_hopeless_tasks_matters_where_one_recovers(self, hopeless, kept) -> None:
        """Two tasks that hear each other are both too late; alone, either is in time (A9)."""
        scenario, state = one_cell(2)
        scenario = scenario.replace(interference=1.0)
        # Alone 0.1 s, together B log2(1 + 0.01 / 0.02) = 0.585 Mbit/s and 0.171 s.
        state = replace(state, deadline_s=np.array([0.165, 0.16]), density_cycles_per_bit=np.full(2, 10.0))
        action = refine_discrete(scenario, state, np.zeros(2, int), Refinement(hopeless=hopeless))
        assert action.placement.tolist() == kept
        once = refine_discrete(
            scenario, state, np.zeros(2, int), Refinement(hopeless=hopeless, reading="one-shot")
        )
        assert once.placement.tolist() == [-1, -1]

    @pytest.mark.parametrize(
        ("reading", "one_shot_cpu", "uplink_s"),
        [
            ("one-shot", "before", 0.1 / np.log2(1.5)),
            ("one-shot", "after", 0.1),
            ("reassess", "before", 0.1),
        ],
    )
    def test_f_under_one_shot_is_that_of_before_the_removals_or_of_after_them(
        self, reading, one_shot_cpu, uplink_s
    ) -> None:
        """One of two tasks that hear each other goes; the other then has 0.5 s for its 5e8 cycles (A42)."""
        scenario, state = one_cell(2)
        scenario = scenario.replace(interference=1.0)
        state = replace(state, cpu_hz=np.array([1.2e9]), award=np.array([1.0, 2.0]))
        settings = Refinement(reading=reading, one_shot_cpu=one_shot_cpu)
        states = stacked([state, state])
        for one in (state, states):
            placement = np.zeros(one.gain.shape, int)
            action = refine_discrete(scenario, one, placement, settings)
            assert (action.placement == [-1, 0]).all()
            assert action.cpu_hz[..., 1] == pytest.approx(5e8 / (0.6 - uplink_s), rel=1e-9)

    def test_pro_rata_gives_out_all_of_a_bs(self) -> None:
        scenario, state = one_cell(2)
        state = replace(state, density_cycles_per_bit=np.array([5000.0, 2500.0]))
        action = refine_discrete(scenario, state, np.zeros(2, int), Refinement(cpu="pro rata"))
        # l is 1 and 0.5 GHz; 5 GHz in the proportion 2 : 1.
        assert action.cpu_hz == pytest.approx([10e9 / 3, 5e9 / 3], rel=1e-12)

    def test_the_actor_s_cpu_counts_in_10_and_asking_for_too_little_loses_the_task(self) -> None:
        scenario, state = one_cell(3)
        share = np.array([[0.5], [0.19], [0.4]])  # 2.5, 0.95 and 2 GHz, where 1 GHz is needed
        action = refine_discrete(scenario, state, np.zeros(3, int), Refinement(cpu="actor"), share)
        assert action.placement.tolist() == [0, -1, 0]
        assert action.cpu_hz == pytest.approx([2.5e9, 0.0, 2e9], rel=1e-12)

    @pytest.mark.parametrize("reading", READINGS)
    def test_what_fills_a_bs_to_the_last_hz_fits_10(self, reading) -> None:
        scenario, state = one_cell(2)
        settings, share = Refinement(reading=reading, cpu="actor"), np.array([[0.5], [0.5]])
        action = refine_discrete(scenario, state, np.zeros(2, int), settings, share)
        assert action.cpu_hz.tolist() == [2.5e9, 2.5e9]

    @pytest.mark.parametrize("reading", READINGS)
    def test_a_task_that_all_but_misses_its_deadline_does_not_blind_the_sum_of_10(self, reading) -> None:
        """Its demand of 1e25 Hz goes with it; what the others ask for must still be counted to the last Hz."""
        scenario, state = one_cell(9)
        deadline = state.deadline_s.copy()
        deadline[4] = np.nextafter(0.1, 1.0)
        state = replace(state, deadline_s=deadline)
        action = refine_discrete(scenario, state, np.zeros(9, int), Refinement(reading=reading))
        result = outcome(scenario, state, action)
        assert action.cpu_hz.sum() <= 5e9 * (1 + 1e-12)
        assert result.completed.tolist() == action.offload.tolist()

    def test_without_line_2_a_device_sends_what_it_cannot_pay_for(self) -> None:
        scenario = Scenario(devices=(2,), interference=0.0)
        state = replace(
            PhysicalSystem(scenario).state, deadline_s=np.full(2, 2.0), energy_j=np.array([9.0, 0.0])
        )
        action = refine_discrete(scenario, state, np.zeros(2, int), Refinement(energy="off"))
        assert action.placement.tolist() == [0, 0]
        assert outcome(scenario, state, action).completed.tolist() == [True, False]
        judged = refine_discrete(scenario, state, np.zeros(2, int))
        assert judged.placement.tolist() == [0, -1]

    def test_one_by_one_keeps_who_can_pay_once_another_is_silent(self) -> None:
        scenario = Scenario(devices=(2,), interference=1.0, mean_gain=0.2)
        state = PhysicalSystem(scenario).state
        both = uplink(scenario, state, np.array([True, True])).energy_j
        state = replace(state, energy_j=np.array([0.0, both[1] * 0.99]), deadline_s=np.full(2, 2.0))
        assert keep_affordable(scenario, state, np.zeros(2, int)).tolist() == [-1, -1]
        one_after_another = keep_affordable(
            scenario, state, np.zeros(2, int), Refinement(energy="one by one")
        )
        assert one_after_another.tolist() == [-1, 0]

    @pytest.mark.parametrize("field", ProtoAction._fields)
    def test_a_nan_is_refused_by_name_in_one_state_and_in_any_of_many(self, field) -> None:
        state, proto = random_state(TINY, 0), random_proto(TINY, 0)
        proto = proto._replace(order=proto.peer.copy())
        odd = deepcopy(proto)
        getattr(odd, field).flat[3] = np.nan
        for known, output in ((state, odd), (stacked([state, state]), stacked_protos([proto, odd]))):
            with pytest.raises(ValueError, match=f"proto-action {field} holds a NaN"):
                refine(TINY, known, output)

    def test_the_actor_s_cpu_has_to_be_given(self) -> None:
        state = random_state(TINY, 0)
        with pytest.raises(ValueError, match="cpu_share is missing"):
            refine_discrete(TINY, state, TINY.cell, Refinement(cpu="actor"))

    @pytest.mark.parametrize("field", Refinement.model_fields)
    def test_an_unknown_reading_is_refused(self, field) -> None:
        with pytest.raises(SettingError, match=f"Refinement.{field} = 'sometimes' is not allowed"):
            Refinement(**{field: "sometimes"})

    def test_nothing_given_is_changed(self) -> None:
        for lead in ([3], [3, 4, 5]):
            states, protos = ([make(TINY, seed) for seed in lead] for make in (random_state, random_proto))
            state, proto = (stacked(states), stacked_protos(protos)) if lead[1:] else (states[0], protos[0])
            placement = np.random.default_rng(0).integers(-1, TINY.n_bs, state.gain.shape)
            before = deepcopy((state, proto, placement))
            refine(TINY, state, proto)
            for settings in EVERY_SETTING:
                refine_discrete(TINY, state, placement, settings, proto.cpu_share, placement == TINY.cell)
            assert same_bits(state, before[0])
            assert same_bits(proto, before[1])
            assert np.array_equal(placement, before[2])


class TestShapes:
    """Of TINY's 12 devices and 3 BSs; each wrong shape is named with the one that is wanted."""

    STATE = random_state(TINY, 1)
    PROTO = random_proto(TINY, 1)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"offload": np.ones(13)},
                r"offload of shape \(13,\) is not allowed: .* the shape \(12,\), as devices",
            ),
            ({"peer": np.ones((12, 4))}, r"peer of shape \(12, 4\) .* the shape \(12, 3\)"),
            ({"peer": np.ones(12)}, r"peer of shape \(12,\) .* the shape \(12, 3\)"),
            ({"cpu_share": np.ones((11, 3))}, r"cpu_share of shape \(11, 3\)"),
            ({"order": np.ones((3, 12))}, r"order of shape \(3, 12\)"),
        ],
    )
    def test_of_a_proto_action(self, changes, message) -> None:
        with pytest.raises(SettingError, match=message):
            refine(TINY, self.STATE, self.PROTO._replace(**changes))

    @pytest.mark.parametrize(
        "call",
        [
            lambda placement: refine_discrete(TINY, TestShapes.STATE, placement),
            lambda placement: keep_affordable(TINY, TestShapes.STATE, placement),
            lambda placement: fit_capacity(TINY, TestShapes.STATE, placement),
            lambda placement: outcome(TINY, TestShapes.STATE, Action(placement, np.zeros(placement.shape))),
            lambda placement: feasible(TINY, TestShapes.STATE, placement),
            lambda placement: DigitalTwin(TINY).what_if(Action(placement, np.zeros(placement.shape))),
            lambda placement: PhysicalSystem(TINY).step(Action(placement, np.zeros(placement.shape))),
        ],
    )
    def test_of_a_placement(self, call) -> None:
        with pytest.raises(
            SettingError, match=r"of shape \(11,\) is not allowed: it should have the shape \(12,\)"
        ):
            call(np.zeros(11, int))

    @pytest.mark.parametrize("bad", [np.full(12, 3), np.full((2, 12), 7), np.full(12, 0.5)])
    def test_a_bs_that_is_not_there_is_refused(self, bad) -> None:
        for call in (
            lambda: refine_discrete(TINY, self.STATE, bad),
            lambda: outcome(TINY, self.STATE, Action(bad, np.ones(bad.shape))),
        ):
            with pytest.raises(
                SettingError, match=r"it should hold whole numbers, the BS of a task \(0..2\) or -1"
            ):
                call()

    def test_of_the_worlds(self) -> None:
        states, placement = PhysicalSystem(TINY, [1, 2]).state, np.zeros((3, 12), int)
        with pytest.raises(SettingError, match=r"of shape \(3, 12\) .* \(2, 12\)"):
            refine_discrete(TINY, states, placement)
        with pytest.raises(SettingError, match=r"report of shape \(2, 12\) .* the twin's, \(12,\)"):
            DigitalTwin(TINY).update(states)

    def test_of_the_state(self) -> None:
        other = Scenario(devices=(6, 6))
        for call in (
            lambda: refine(other, self.STATE, self.PROTO),
            lambda: Encoder(other).encode(self.STATE),
            lambda: DigitalTwin(other).update(self.STATE),
            lambda: PhysicalSystem(other).restore(PhysicalSystem(TINY).snapshot()),
        ):
            with pytest.raises(
                SettingError, match=r"it should be one of 12 devices and 2 BSs, as devices = \(6, 6\)"
            ):
                call()

    def test_of_vectors(self) -> None:
        encoder = Encoder(TINY)
        for size in (encoder.action_size + 1, encoder.action_size - 3):
            with pytest.raises(SettingError, match=rf"of shape \({size},\) .* the shape \(..., {12 * 7}\)"):
                encoder.proto(np.ones(size, np.float32))
        with pytest.raises(SettingError, match=r"placement of shape \(11,\)"):
            encoder.executed(Action(np.zeros(11, int), np.ones(11)), self.STATE.cpu_hz)
