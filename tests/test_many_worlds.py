"""Many worlds stepped at once: each goes the way that it goes alone, bit for bit, through the same code."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from worlds import (
    EVERY_SETTING,
    TINY,
    assert_same_bits,
    random_placement,
    random_proto,
    random_state,
    same_bits,
    scenarios,
    seeds,
    small_agent,
    stacked,
    stacked_protos,
)

from mecsim import (
    AGENTS,
    INTO,
    PRESETS,
    Action,
    Agent,
    Deviation,
    DigitalTwin,
    PhysicalSystem,
    Refinement,
    Scenario,
    ScenarioStack,
    SettingError,
    SystemState,
    make_agent,
    outcome,
    physics,
    refine,
    refine_discrete,
    rollout,
    train,
)

DIFFERING = [
    {},
    {"cpu_hz": (1e9, 2e9, 3e9), "bandwidth_hz": 2e6, "noise_w_per_hz": 2e-8, "interference": 1.0},
    {
        "tau_s": 12.0,
        "link_bps": 1e6,
        "battery_j": 0.01,
        "initial_energy_j": 1.0,
        "deadline_scale": (1.0, 2.0, 3.0),
    },
    {
        "size_bits": (1e4, 2e4),
        "award_scale": (3.0, 1.0, 1.0),
        "power_w": 0.1,
        "mean_gain": 2.0,
        "harvest_w": 2e-3,
    },
]
"""Changes of numbers alone, one set for each of several worlds."""


def check_the_way(scenario, worlds: list[int], slots: int) -> float:
    """Many worlds at once and each alone, under the same random offers; returns what they earn in all."""
    many, earned = PhysicalSystem(scenario, worlds), 0.0
    own = [scenario] * len(worlds) if isinstance(scenario, Scenario) else scenario
    alone = [DigitalTwin(*pair) for pair in zip(own, worlds, strict=True)]
    for slot in range(slots):
        assert_same_bits(many.state, [one.state for one in alone])
        offers = [random_placement(own[0], slot + world) for world in worlds]
        taken = refine_discrete(many.scenario, many.state, np.stack(offers))
        actions = [refine_discrete(one.scenario, one.state, o) for one, o in zip(alone, offers, strict=True)]
        assert_same_bits(taken, actions)
        result = many.step(taken)
        assert_same_bits(result, [one.step(action) for one, action in zip(alone, actions, strict=True)])
        earned += result.income.sum()
    return earned


class TestTheWayOfOneWorld:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_at_the_paper_s_size(self, preset) -> None:
        assert check_the_way(Scenario.preset(preset), [5, 0, 70], slots=6) > 0

    @pytest.mark.parametrize(
        "changes",
        [
            {"power_drawn": "each slot"},
            {"fading": "constant"},
            {"fading": "ar1"},
            {"fading": "path_loss"},
            {"state_rate": "all-transmit"},
            {"state_rate": "last-slot"},
        ],
    )
    def test_with_every_process_and_every_rate_in_the_state(self, changes) -> None:
        assert check_the_way(TINY.replace(mean_gain=1.0, **changes), [3, 4], slots=6) > 0

    @given(scenarios(), st.lists(st.integers(0, 2**40), min_size=1, max_size=3))
    @hypothesis_settings(max_examples=50)
    def test_in_any_system(self, scenario, worlds) -> None:
        check_the_way(scenario, worlds, slots=3)

    @pytest.mark.parametrize("fading", ["exponential", "ar1", "path_loss"])
    def test_where_each_world_has_numbers_of_its_own(self, fading) -> None:
        own = [Scenario(devices=(4, 9, 7), fading=fading, **{"mean_gain": 1.0, **one}) for one in DIFFERING]
        assert check_the_way(own, [8, 1, 2, 1], slots=8) > 0

    @given(scenarios(), seeds)
    @hypothesis_settings(max_examples=50)
    def test_outcomes_of_any_decision(self, scenario, seed) -> None:
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

    def test_twins_that_err(self) -> None:
        deviation = Deviation(gain_noise=0.2, harvest_noise=0.1, update_every=3, outdated={"mean_gain": 0.2})
        twins, plants = DigitalTwin(TINY, [4, 9], deviation), PhysicalSystem(TINY, [1, 2])
        alone = [
            (DigitalTwin(TINY, seed, deviation), PhysicalSystem(TINY, world))
            for seed, world in ((4, 1), (9, 2))
        ]
        for _ in range(5):
            twins.update(plants.state)
            action = refine_discrete(TINY, twins.state, TINY.cell)
            for number, (twin, plant) in enumerate(alone):
                twin.update(plant.state)
                assert same_bits(twins.state.world(number), twin.state)
                own = refine_discrete(TINY, twin.state, TINY.cell)
                plant.step(own)
                twin.step(own)
            plants.step(action)
            twins.step(action)


def check_refine(scenario: Scenario, states: list, protos: list, settings: Refinement) -> Action:
    batch = refine(scenario, stacked(states), stacked_protos(protos), settings)
    assert_same_bits(batch, [refine(scenario, *pair, settings) for pair in zip(states, protos, strict=True)])
    return batch


class TestAlgorithm1:
    @given(scenarios(), seeds, st.sampled_from(EVERY_SETTING))
    @hypothesis_settings(max_examples=100)
    def test_in_any_system_and_every_setting(self, scenario, seed, settings) -> None:
        rng, shape = np.random.default_rng(seed), (4, scenario.n_devices)
        states, shielded = [random_state(scenario, seed + i) for i in range(4)], rng.random(shape) < 0.5
        protos = [random_proto(scenario, seed + i) for i in range(4)]
        check_refine(scenario, states, protos, settings)
        placements = np.stack([random_placement(scenario, seed + i) for i in range(4)])
        share = rng.uniform(-0.1, 1.1, (*shape, scenario.n_bs))
        batch = refine_discrete(scenario, stacked(states), placements, settings, share, shielded)
        rows = zip(states, placements, share, shielded, strict=True)
        assert_same_bits(
            batch, [refine_discrete(scenario, state, one, settings, f, s) for state, one, f, s in rows]
        )

    @pytest.mark.parametrize("settings", EVERY_SETTING, ids=lambda one: "-".join(dict(one).values()))
    def test_at_the_paper_s_size(self, settings) -> None:
        scenario = Scenario.preset("printed")
        states = [random_state(scenario, 17 + i) for i in range(3)]
        protos = [random_proto(scenario, 17 + i) for i in range(3)]
        assert check_refine(scenario, states, protos, settings).offload.any()


class TestAgents:
    @pytest.mark.parametrize("name", ["OLNPO", "LPWPO", "all-on"])
    @given(scenarios(), seeds)
    @hypothesis_settings(max_examples=50)
    def test_vectorised_rules_decide_for_each_state_as_alone(self, name, scenario, seed) -> None:
        agent, states = make_agent(name, scenario), [random_state(scenario, seed + i) for i in range(4)]
        assert agent.vectorized
        assert_same_bits(agent.act(stacked(states)), [agent.act(state) for state in states])

    @pytest.mark.parametrize("name", ["OLNPO", "LPWPO", "all-on"])
    def test_rules_in_worlds_with_numbers_of_their_own(self, name) -> None:
        own = [Scenario(devices=(4, 9, 7), **{"mean_gain": 1.0, **one}) for one in DIFFERING]
        together = rollout(make_agent(name, ScenarioStack(own)), PhysicalSystem(own, 3), 12)
        alone = [rollout(make_agent(name, one), PhysicalSystem(one, 3), 12) for one in own]
        for world, record in enumerate(alone):
            for field, expected in zip(together, record, strict=True):
                assert np.array_equal(field[:, world], expected)
        assert together.income.sum() > 0

    @pytest.mark.parametrize("cpu", ["least", "actor"])
    def test_into_gives_the_proto_action_of_each_state_but_for_rounding(self, cpu) -> None:
        agent = small_agent("INTO", TINY.replace(initial_energy_j=1.0), 3, refinement=Refinement(cpu=cpu))
        states = [random_state(agent.scenario, i) for i in range(5)]
        proto, batch = agent.proto_action(stacked(states)), agent.act(stacked(states))
        assert len(np.unique(proto.offload, axis=0)) == 5
        for world, state in enumerate(states):
            alone = agent.proto_action(state)
            own = type(alone)(*(values[world] for values in proto))
            for values, expected in zip(own, alone, strict=True):
                assert values == pytest.approx(expected, abs=1e-6)
            assert_same_bits(
                Action(batch.placement[world : world + 1], batch.cpu_hz[world : world + 1]),
                [refine(agent.scenario, state, own, agent.refinement)],
            )

    def test_a_newcomer_s_agent_that_knows_single_states_alone(self) -> None:
        class Idle(Agent):
            def act(self, state: SystemState) -> Action:
                assert state.energy_j.shape == (TINY.n_devices,)
                return Action(np.full(self.scenario.n_devices, -1), np.zeros(self.scenario.n_devices))

        record = rollout(Idle(TINY), PhysicalSystem(TINY, [1, 2, 3]), 4)
        assert record.income.shape == (4, 3)
        own = [TINY, TINY.replace(cpu_hz=1e9)]
        with pytest.raises(
            SettingError, match="agent = Idle is not allowed: worlds with scenarios of their own"
        ):
            rollout(Idle(ScenarioStack(own)), PhysicalSystem(own), 1)

    @pytest.mark.parametrize("name", AGENTS)
    def test_every_agent_of_the_table_decides_for_many_worlds(self, name) -> None:
        agent = small_agent(name, TINY)
        record = rollout(agent, PhysicalSystem(TINY, [4, 0, 31]), 6)
        assert [field.shape for field in record] == [(6, 3), (6, 3, 3), (6, 3, 3), (6, 3), (6, 3)]
        for world, seed in enumerate((4, 0, 31)):
            for field, expected in zip(record, rollout(agent, PhysicalSystem(TINY, seed), 6), strict=True):
                assert np.array_equal(field[:, world], expected)
        assert len(np.unique(record.income, axis=1).T) == 3


@pytest.mark.parametrize("seed", [7, [7, 3]])
@pytest.mark.parametrize("make", [PhysicalSystem, DigitalTwin])
def test_a_snapshot_goes_on_with_the_same_bits(make, seed) -> None:
    scenario = TINY.replace(fading="ar1", mean_gain=1.0)
    system, agent = make(scenario, seed), make_agent("all-on", scenario)
    rollout(agent, system, 3)
    saved = json.dumps(system.snapshot())
    expected = rollout(agent, system, 3).income.tolist()
    restored = make(scenario, seed)
    restored.restore(json.loads(saved))
    assert rollout(agent, restored, 3).income.tolist() == expected
    assert copy.deepcopy(system).scenario is system.scenario


class TestBorders:
    @pytest.mark.parametrize(
        ("scenario", "seed", "message"),
        [
            (TINY, [3, -1], "seed = -1 is not allowed"),
            (TINY, [], r"seed = \[\] is not allowed: there should be at least one world"),
            ([], 0, r"scenario = \[\] is not allowed: there should be at least one world"),
            (
                [TINY, TINY],
                [1],
                r"seed = \[1\] is not allowed: there should be one for each of the 2 scenarios",
            ),
            ([TINY, TINY.replace(fading="ar1")], 0, "fading = .* should differ in numbers alone"),
            ([TINY, TINY.replace(links="line")], 0, "links = .* should differ in numbers alone"),
            ([TINY, Scenario(devices=(4, 3, 5))], 0, "devices = .* should differ in numbers alone"),
            (5, 0, "Scenario = 5 is not allowed: it should be Scenario"),
            (TINY, "12", "seed = '12' is not allowed: it should be a whole number, 0 or more"),
            (TINY, 1.5, "seed = 1.5 is not allowed"),
            (TINY, [1, True], "seed = True is not allowed"),
            (TINY, None, "seed = None is not allowed"),
        ],
    )
    def test_what_is_refused(self, scenario, seed, message) -> None:
        with pytest.raises(ValueError, match=message):
            PhysicalSystem(scenario, seed)

    def test_what_takes_one_world_alone_or_one_scenario_says_so(self) -> None:
        two = DigitalTwin(TINY, [1, 2])
        nothing = Action(np.full((3, 12), -1), np.zeros((3, 12)))
        for call, message in (
            (lambda: two.device(0), "worlds = 2 is not allowed"),
            (lambda: train(INTO(TINY), two, 1), "twin of 2 worlds is not allowed"),
            (lambda: PhysicalSystem(TINY).step(nothing), r"placement of shape \(3, 12\) is not allowed"),
        ):
            with pytest.raises(SettingError, match=message):
                call()

    def test_leading_axes_broadcast_where_worlds_differ_in_cpu_and_links(self) -> None:
        state = PhysicalSystem([TINY.replace(**one) for one in ({"cpu_hz": 1e9}, {"link_bps": 1e6})], 3).state
        for placement in (TINY.cell, np.broadcast_to(TINY.cell, (5, 2, 12))):
            assert physics.at_bs(state.cpu_hz, placement).shape[-2:] == (2, 12)
            assert physics.link_delay_s(state.size_bits, placement, TINY.cell, state.link_bps).shape[-2:] == (
                2,
                12,
            )
