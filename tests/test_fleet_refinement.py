"""Algorithm 1 over many states at once: the actions of each alone, bit for bit, in every setting."""

from dataclasses import replace

import numpy as np
import pytest
from fleets import EVERY_SETTING, OF_THE_PAPER, assert_same_bits, stacked, stacked_protos
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from worlds import (
    TINY,
    as_placement,
    assert_guarantees,
    one_hot,
    random_placement,
    random_proto,
    random_state,
    scenarios,
    seeds,
)

from mecsim.reference import literal
from mecsim.refinement import Refinement, refine, refine_discrete
from mecsim.scenario import PRESETS, Scenario
from mecsim.system import Action, PhysicalSystem, SystemState

every_setting = st.sampled_from(EVERY_SETTING)
TWINS = 4


def some_states(scenario: Scenario, seed: int) -> list[SystemState]:
    return [random_state(scenario, seed + i) for i in range(TWINS)]


class TestEqualsTheSingleOne:
    @given(scenarios(), seeds, every_setting)
    @hypothesis_settings(max_examples=300)
    def test_from_an_actor_s_output(self, scenario, seed, settings) -> None:
        states = some_states(scenario, seed)
        protos = [random_proto(scenario, seed + i) for i in range(TWINS)]
        batch = refine(scenario, stacked(states), stacked_protos(protos), settings)
        singles = [refine(scenario, *pair, settings) for pair in zip(states, protos, strict=True)]
        assert_same_bits(batch, singles)

    @given(scenarios(), seeds, every_setting)
    @hypothesis_settings(max_examples=300)
    def test_from_a_discrete_action_with_shielded_tasks(self, scenario, seed, settings) -> None:
        rng, shape = np.random.default_rng(seed), (TWINS, scenario.n_devices)
        states, shielded = some_states(scenario, seed), rng.random(shape) < rng.choice([0.1, 0.5, 1.0])
        placements = np.stack([random_placement(scenario, seed + i) for i in range(TWINS)])
        share = rng.uniform(-0.1, 1.1, (*shape, scenario.n_bs))
        batch = refine_discrete(scenario, stacked(states), placements, settings, share, shielded)
        rows = zip(states, placements, share, shielded, strict=True)
        singles = [refine_discrete(scenario, state, one, settings, f, s) for state, one, f, s in rows]
        assert_same_bits(batch, singles)

    @pytest.mark.parametrize("settings", EVERY_SETTING, ids=lambda one: "-".join(one._values().values()))
    @pytest.mark.parametrize("preset", PRESETS)
    def test_at_the_paper_s_size(self, preset, settings) -> None:
        scenario = Scenario.preset(preset)
        states = some_states(scenario, 17)
        protos = [random_proto(scenario, 17 + i) for i in range(TWINS)]
        batch = refine(scenario, stacked(states), stacked_protos(protos), settings)
        assert_same_bits(
            batch, [refine(scenario, *pair, settings) for pair in zip(states, protos, strict=True)]
        )
        assert batch.offload.any()

    @pytest.mark.parametrize("settings", EVERY_SETTING, ids=lambda one: "-".join(one._values().values()))
    def test_in_a_fleet_of_which_twins_drop_out_one_by_one(self, settings) -> None:
        """Fifty twins with from no to all tasks on, so that some are done at once and others last."""
        scenario = TINY.replace(devices=(4, 9, 7), mean_gain=1.0, initial_energy_j=1.0, interference=0.3)
        rng, shape = np.random.default_rng(0), (50, scenario.n_devices)
        fleet, share = PhysicalSystem(scenario, range(50)), rng.random((*shape, scenario.n_bs))
        on = rng.random(shape) < np.linspace(0.0, 1.0, 50)[:, None]
        placements = np.where(on, rng.integers(0, scenario.n_bs, shape), -1)
        states = [replace(fleet.state, **_row(fleet.state, twin)) for twin in range(50)]
        batch = refine_discrete(scenario, fleet.state, placements, settings, share)
        rows = zip(states, placements, share, strict=True)
        assert_same_bits(
            batch, [refine_discrete(scenario, state, one, settings, f) for state, one, f in rows]
        )

    @given(scenarios(), seeds)
    def test_where_sigmoids_are_rounded_to_one(self, scenario, seed) -> None:
        states = some_states(scenario, seed)
        rough = [random_proto(scenario, seed + i) for i in range(TWINS)]
        protos = [one._replace(peer=np.round(one.peer), order=one.peer) for one in rough]
        batch = refine(scenario, stacked(states), stacked_protos(protos))
        assert_same_bits(batch, [refine(scenario, *pair) for pair in zip(states, protos, strict=True)])


def _row(state: SystemState, twin: int) -> dict[str, np.ndarray]:
    batched = [name for name, value in vars(state).items() if np.ndim(value) == 2 and name != "link_bps"]
    return {name: getattr(state, name)[twin] for name in batched}


class TestExtremes:
    """Where single precision of a sum would fail; the oracle is the literal transcription."""

    @staticmethod
    def odd(state: SystemState, rng: np.random.Generator, name: str, *values: float) -> SystemState:
        usual = getattr(state, name)
        odd = np.where(rng.random(usual.shape) < 0.5, usual, rng.choice(values, usual.shape))
        return replace(state, energy_j=np.full(state.energy_j.shape, np.inf), **{name: odd})

    @pytest.mark.parametrize("settings", OF_THE_PAPER, ids=lambda one: "-".join(one._values().values()))
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("gain", (0.0, 1e-300, 1e-9, 1e9, 1e280)),
            ("deadline_s", (1e-300, 1e-12, 1e-3, 0.05)),
            ("size_bits", (1e-6, 1e12, 1e300)),
            ("award", (1e-200, 1e200)),
            ("cpu_hz", (1e-300, 1.0, 1e7)),
        ],
    )
    def test_as_the_paper_has_it(self, name, values, settings) -> None:
        rng = np.random.default_rng(1)
        for seed in range(4):
            state = self.odd(random_state(TINY, seed), rng, name, *values)
            states = [state, *(replace(random_state(TINY, 9 + i), cpu_hz=state.cpu_hz) for i in range(2))]
            placements = [random_placement(TINY, seed + i) for i in range(3)]
            share = rng.random((3, TINY.n_devices, TINY.n_bs))
            batch = refine_discrete(TINY, stacked(states), np.stack(placements), settings, share)
            for twin, (one, placement) in enumerate(zip(states, placements, strict=True)):
                expected = self.literal_placement(one, placement, settings, share[twin])
                assert batch.placement[twin].tolist() == expected

    @staticmethod
    def literal_placement(
        state: SystemState, placement: np.ndarray, settings: Refinement, share: np.ndarray
    ) -> list[int]:
        slot = literal.Slot.of(TINY, state)
        x, y = literal.with_energy(slot, *one_hot(TINY, placement))
        f_hat = share.tolist() if settings.cpu == "actor" else None
        return as_placement(literal.fit_capacity(slot, x, y, settings.reading, settings.hopeless, f_hat)[1])

    def test_a_loud_device_that_goes_leaves_the_others_to_be_heard(self) -> None:
        """Subtracted from 1e280, what the others send would be lost, and each would seem to be alone."""
        scenario, states = Scenario(devices=(12,), interference=1.0, tau_s=12.0), []
        for seed in range(TWINS):
            state = random_state(scenario, seed)
            gain, size = state.gain.copy(), state.size_bits.copy()
            gain[0], size[0] = 1e280, 1e300  # too late, and so is everybody who hears it
            states.append(replace(state, gain=gain, size_bits=size, energy_j=np.full(12, np.inf)))
        settings = Refinement(hopeless="lowest index")
        batch = refine_discrete(scenario, stacked(states), np.zeros((TWINS, 12), int), settings)
        for twin, state in enumerate(states):
            action = Action(batch.placement[twin], batch.cpu_hz[twin])
            assert_guarantees(scenario, state, action)
            slot = literal.Slot.of(scenario, state)
            x, y = literal.with_energy(slot, *one_hot(scenario, np.zeros(12, int)))
            _, y, _ = literal.fit_capacity(slot, x, y, hopeless="lowest index")
            assert action.placement.tolist() == as_placement(y)
            assert 1 < np.count_nonzero(action.offload) < 11


class TestBorders:
    def test_no_task_at_all(self) -> None:
        state = stacked(some_states(TINY, 0))
        action = refine_discrete(TINY, state, np.full((TWINS, TINY.n_devices), -1))
        assert (action.placement == -1).all()
        assert (action.cpu_hz == 0).all()

    def test_everybody_wants_the_same_bs(self) -> None:
        states = some_states(TINY.replace(initial_energy_j=1.0), 0)
        wanted = np.full((TWINS, TINY.n_devices), 1)
        batch = refine_discrete(TINY, stacked(states), wanted)
        assert_same_bits(batch, [refine_discrete(TINY, state, wanted[0]) for state in states])
        assert set(np.unique(batch.placement)) == {-1, 1}

    @pytest.mark.parametrize("field", ["offload", "peer", "cpu_share", "order"])
    def test_a_nan_is_refused_by_name(self, field) -> None:
        proto = stacked_protos([random_proto(TINY, i) for i in range(TWINS)])
        proto = proto._replace(order=proto.peer.copy())
        getattr(proto, field).flat[40] = np.nan
        with pytest.raises(ValueError, match=f"proto-action {field} holds a NaN"):
            refine(TINY, stacked(some_states(TINY, 0)), proto)

    def test_the_actor_s_cpu_has_to_be_given(self) -> None:
        state, wanted = stacked(some_states(TINY, 0)), np.zeros((TWINS, TINY.n_devices), int)
        with pytest.raises(ValueError, match="cpu_share is missing"):
            refine_discrete(TINY, state, wanted, Refinement(cpu="actor"))

    def test_nothing_given_is_changed(self) -> None:
        state = stacked(some_states(TINY, 3))
        proto = stacked_protos([random_proto(TINY, i) for i in range(TWINS)])
        placement = np.stack([random_placement(TINY, i) for i in range(TWINS)])
        shielded = placement == TINY.cell
        given = [*proto[:3], placement, shielded, *vars(state).values()]
        before = [np.array(value) for value in given]
        refine(TINY, state, proto)
        for settings in EVERY_SETTING:
            refine_discrete(TINY, state, placement, settings, proto.cpu_share, shielded)
        assert all(np.array_equal(one, other) for one, other in zip(before, given, strict=True))
