"""Encoder: the state and action of section III-B as vectors of the right size, range and order."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from worlds import TINY, random_placement, random_state, scenarios, seeds, stacked

from mecsim.agents import make_agent
from mecsim.mdp import Encoder
from mecsim.refinement import nearest_discrete, refine_discrete
from mecsim.scenario import LARGEST, PRESETS, SMALLEST, Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem
from mecsim.twin import DigitalTwin


def test_sizes_at_the_paper_s_size() -> None:
    encoder = Encoder(Scenario())
    # 165 devices, 3 BSs: 6 numbers a device, 6 ordered pairs of BSs, 3 capacities; x, 3 y and 3 f a device.
    assert encoder.state_size == 6 * 165 + 6 + 3
    assert encoder.action_size == 165 * (1 + 3 + 3)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", ["award", "density", "gain", "harvest", "size", "deadline"])
def test_every_sweep_stays_in_the_unit_box_and_uses_it(preset, scale) -> None:
    scenario = Scenario.preset(preset, **{f"{scale}_scale": (3.0, 1.0, 1.0)})
    encoder, system = Encoder(scenario), PhysicalSystem(scenario)
    seen = []
    for slot in range(6):
        seen.append(encoder.encode(system.state))
        system.step(refine_discrete(scenario, system.state, random_placement(scenario, slot)))
    seen = np.array(seen)
    assert np.abs(seen).max() <= 1.0
    for block, spread in enumerate((0.5, 0.5, 0.5, 0.5, 0.5, 0.1)):  # z, v, g, delta, nu, Q
        part = seen[1:, block * 165 : (block + 1) * 165]
        assert part.max() - part.min() > spread, block


class TestOrderAndScale:
    SCENARIO = Scenario(devices=(1, 2), cpu_hz=(1e9, 5e9), links=())

    def encoded(self, **changes: object) -> np.ndarray:
        state = replace(PhysicalSystem(self.SCENARIO).state, **changes)
        return Encoder(self.SCENARIO).encode(state)

    @pytest.mark.parametrize(
        ("block", "name", "low", "high"),
        [
            (0, "size_bits", 50e3, 80e3),
            (1, "density_cycles_per_bit", 3000, 8000),
            (2, "award", 1, 3),
            (3, "deadline_s", 0.2, 2),
        ],
    )
    def test_a_range_becomes_minus_one_to_one(self, block, name, low, high) -> None:
        vector = self.encoded(**{name: np.array([low, (low + high) / 2, high])})
        assert vector[3 * block : 3 * block + 3] == pytest.approx([-1, 0, 1], abs=1e-6)

    def test_rate_and_energy_saturate(self) -> None:
        for block, name, usual in ((4, "rate_bps", 1e6), (5, "energy_j", 0.01)):
            values = np.array([0.0, usual, 1e6 * usual])
            nothing, something, plenty = self.encoded(**{name: values})[3 * block : 3 * block + 3]
            assert nothing == -1.0
            assert -0.9 < something < 0.9 < plenty <= 1.0

    def test_links_and_cpu_come_last(self) -> None:
        linked = np.array([[np.inf, 100e6], [50e6, np.inf]])
        assert self.encoded()[-4:] == pytest.approx([-1, -1, -0.6, 1])
        assert self.encoded(link_bps=linked)[-4:] == pytest.approx([1, 0, -0.6, 1])
        assert self.encoded(cpu_hz=np.array([0.0, 2.5e9]))[-2:] == pytest.approx([-1, 0])

    def test_a_constant_is_zero(self) -> None:
        scenario = self.SCENARIO.replace(award=2)
        vector = Encoder(scenario).encode(PhysicalSystem(scenario).state)
        assert vector[6:9].tolist() == [0, 0, 0]

    def test_scales_widen_the_range(self) -> None:
        scenario = self.SCENARIO.replace(award_scale=(3.0, 1.0), deadline_scale=(1.0, 4.0))
        state = replace(
            PhysicalSystem(scenario).state,
            award=np.array([9.0, 1.0, 3.0]),
            deadline_s=np.array([0.2, 2.0, 0.8]),
        )
        vector = Encoder(scenario).encode(state)
        assert vector[6:9] == pytest.approx([1, -1, -0.5], abs=1e-6)  # awards from 1 x 1 to 3 x 3
        assert vector[9:12] == pytest.approx([-1, 1, -1 / 3], abs=1e-6)


class TestActions:
    def test_a_vector_is_cut_into_x_y_and_f(self) -> None:
        encoder = Encoder(Scenario(devices=(1, 1)))
        proto = encoder.proto(np.arange(10, dtype=np.float32))
        assert proto.offload.tolist() == [0, 1]
        assert proto.peer.tolist() == [[2, 3], [4, 5]]
        assert proto.cpu_share.tolist() == [[6, 7], [8, 9]]

    def test_an_executed_action_by_hand(self) -> None:
        encoder = Encoder(Scenario(devices=(1, 1), cpu_hz=(4e9, 5e9)))
        vector = encoder.executed(Action(np.array([1, -1]), np.array([1e9, 0.0])), np.array([4e9, 5e9]))
        assert vector.tolist() == pytest.approx([1, 0, 0, 1, 0, 0, 0, 0.2, 0, 0])
        assert vector.dtype == np.float32

    @given(scenarios(), seeds)
    @hypothesis_settings(max_examples=50)
    def test_an_executed_action_comes_back_from_its_vector(self, scenario, seed) -> None:
        encoder, state = Encoder(scenario), random_state(scenario, seed)
        action = refine_discrete(scenario, state, random_placement(scenario, seed))
        proto = encoder.proto(encoder.executed(action, state.cpu_hz))
        assert nearest_discrete(proto.offload, proto.peer).tolist() == action.placement.tolist()
        assert proto.offload.tolist() == action.offload.tolist()
        assert proto.cpu_share * state.cpu_hz == pytest.approx(action.allocated_hz(scenario.n_bs), rel=1e-6)


@given(scenarios(), seeds)
@hypothesis_settings(max_examples=50)
def test_many_states_and_actions_at_once_are_each_alone_in_the_unit_box(scenario, seed) -> None:
    encoder, states = Encoder(scenario), [random_state(scenario, seed + i) for i in range(3)]
    states[2] = replace(states[2], gain=0 * states[2].gain, rate_bps=0 * states[2].rate_bps)
    vectors = encoder.encode(stacked(states))
    assert vectors.tolist() == [encoder.encode(state).tolist() for state in states]
    placements = np.stack([random_placement(scenario, seed + i) for i in range(3)])
    actions = [refine_discrete(scenario, *pair) for pair in zip(states, placements, strict=True)]
    both = Action(*(np.stack([getattr(one, name) for one in actions]) for name in ("placement", "cpu_hz")))
    cpu_hz = scenario.per_bs("cpu_hz")
    executed = encoder.executed(both, cpu_hz)
    assert executed.tolist() == [encoder.executed(action, cpu_hz).tolist() for action in actions]
    for found, size, low in ((vectors, encoder.state_size, -1.0), (executed, encoder.action_size, 0.0)):
        assert (found.dtype, found.shape) == (np.float32, (3, size))
        assert low <= found.min() <= found.max() <= 1.0
    outputs = np.random.default_rng(seed).random((2, 3, encoder.action_size), dtype=np.float32)
    protos = encoder.proto(outputs)
    for index in np.ndindex(2, 3):
        for values, expected in zip(protos[:3], encoder.proto(outputs[index])[:3], strict=True):
            assert values[index].tolist() == expected.tolist()


def test_the_reward_scale_makes_all_awards_one() -> None:
    # Mean award 2: 3 devices at xi = 3 and 9 at 1 are 3 x 6 + 9 x 2 = 36.
    assert Encoder(TINY.replace(award_scale=(3.0, 1.0, 1.0))).reward_scale == pytest.approx(1 / 36)
    assert Encoder(Scenario()).reward_scale == pytest.approx(1 / 330)


EXTREMES = st.sampled_from([SMALLEST, 1e-20, 1e-10, 1.0, 1e10, 1e20, LARGEST])
RANGES = st.tuples(EXTREMES, EXTREMES).map(sorted)
FIELDS = {
    **dict.fromkeys(["size_bits", "density_cycles_per_bit", "award", "power_w", "harvest_w"], RANGES),
    **dict.fromkeys(["noise_w_per_hz", "link_bps", "mean_gain", "battery_j", "initial_energy_j"], EXTREMES),
    **dict.fromkeys(
        ["bandwidth_hz", "cpu_hz", "award_scale", "size_scale", "gain_scale"], st.tuples(EXTREMES, EXTREMES)
    ),
    "deadline_s": RANGES,
    "tau_s": st.just(LARGEST),
    "interference": st.sampled_from([0.0, 1e-300, 1.0]),
    "path_loss_exponent": st.sampled_from([SMALLEST, 20.0]),
    "fading": st.sampled_from(["exponential", "path_loss", "ar1"]),
    "state_rate": st.sampled_from(["interference-free", "all-transmit", "last-slot"]),
}


@given(st.fixed_dictionaries({}, optional=FIELDS), seeds)
@hypothesis_settings(max_examples=60)
@pytest.mark.parametrize("name", ["all-on", "thrifty"])
def test_whatever_a_scenario_allows_what_is_seen_and_earned_are_numbers(name, changes, seed) -> None:
    scenario = Scenario(devices=(2, 3), **{"tau_s": LARGEST, **changes})
    encoder, twin, agent = Encoder(scenario), DigitalTwin(scenario, seed), make_agent(name, scenario)
    for _ in range(2):
        assert np.abs(encoder.encode(twin.state)).max() <= 1.0  # False of a NaN
        action = agent.act(twin.state)
        assert np.isfinite(encoder.executed(action, twin.state.cpu_hz)).all()
        result = twin.step(action)
        assert np.isfinite(result.income * encoder.reward_scale)
        assert not np.isnan(result.delay_s).any()
        assert not np.isnan(result.rate_bps).any()


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"mean_gain": 1e-31}, "between 1e-30 and 1e"),
        ({"initial_energy_j": 1e31}, "between 1e-30 and 1e"),
        ({"path_loss_exponent": 21}, "less than or equal to 20"),
    ],
)
def test_numbers_that_physics_cannot_be_worked_out_from_are_refused(changes, allowed) -> None:
    with pytest.raises(SettingError, match=f"it should be {allowed}"):
        Scenario(**changes)
