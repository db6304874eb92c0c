"""DigitalTwin: the plant bit for bit where nothing deviates, and each deviation as its docstring says."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from worlds import TINY, place, random_placement, same_bits

from mecsim.agents import make_agent
from mecsim.refinement import refine_discrete
from mecsim.scenario import PRESETS, Scenario, ScenarioStack
from mecsim.settings import SettingError
from mecsim.system import Action, PhysicalSystem, SystemState
from mecsim.training import rollout
from mecsim.twin import Deviation, DigitalTwin

SLOTS = 12
NOTHING = place(*[-1] * TINY.n_devices)


def some_action(scenario: Scenario, state: SystemState) -> Action:
    """A valid action that places tasks at random, the same for the same slot."""
    return refine_discrete(scenario, state, random_placement(scenario, state.slot))


def following(scenario: Scenario, deviation: Deviation, slots: int = SLOTS, seed: int = 1):
    """A plant and the twin that its reports keep up to date, slot by slot, just after each update."""
    plant, twin = PhysicalSystem(scenario, seed), DigitalTwin(scenario, seed + 1, deviation)
    for _ in range(slots):
        twin.update(plant.state)
        yield plant, twin
        action = some_action(scenario, plant.state)
        plant.step(action)
        twin.step(action)


WORLDS = {
    **{name: Scenario.preset(name) for name in PRESETS},
    "ar1, last slot's rate": TINY.replace(fading="ar1", state_rate="last-slot"),
    "all-transmit, powers drawn anew": TINY.replace(state_rate="all-transmit", power_drawn="each slot"),
    "finite battery, line": TINY.replace(battery_j=0.01, initial_energy_j=0.01, links="line"),
}


class TestPerfectTwin:
    @pytest.mark.parametrize("world", WORLDS)
    def test_following_the_reports_is_the_plant_bit_for_bit(self, world) -> None:
        """Whatever the seed of its own virtual space is."""
        scenario = WORLDS[world]
        for plant, twin in following(scenario, Deviation()):
            assert same_bits(twin.state, plant.state)
            action = some_action(scenario, plant.state)
            predicted = twin.what_if(action)
            assert same_bits(predicted, deepcopy(plant).step(action))

    def test_another_seed_is_another_virtual_world(self) -> None:
        assert not same_bits(DigitalTwin(TINY, 3).state, DigitalTwin(TINY, 4).state)


class TestWhatIf:
    @pytest.mark.parametrize("fading", ["exponential", "ar1"])
    def test_changes_nothing_streams_included(self, fading) -> None:
        noisy = Deviation(gain_noise=0.3, harvest_noise=0.3, update_every=2)
        scenario = TINY.replace(fading=fading)
        asked, silent = DigitalTwin(scenario, 3, noisy), DigitalTwin(scenario, 3, noisy)
        for slot in range(SLOTS):
            before = json.dumps(asked.snapshot())
            for other in range(3):
                asked.what_if(refine_discrete(scenario, asked.state, random_placement(scenario, other)))
            assert json.dumps(asked.snapshot()) == before
            action = some_action(scenario, silent.state)
            assert same_bits(asked.step(action), silent.step(action))
            assert same_bits(asked.state, silent.state)
            assert asked.state.slot == slot + 1


class TestDigitalModels:
    """Section III-A: the model of a device (1), of a BS and of the channel."""

    def test_device_model_is_eq_1(self) -> None:
        twin = DigitalTwin(TINY, 3)
        state, model = twin.state, twin.device(7)
        assert model[:3] == (state.power_w[7], state.energy_j[7], state.harvest_j[7])
        assert model.task == (
            state.size_bits[7],
            state.density_cycles_per_bit[7],
            state.deadline_s[7],
            state.award[7],
        )

    def test_bs_model_is_the_triple_of_section_3a(self) -> None:
        twin = DigitalTwin(TINY.replace(cpu_hz=(1e9, 2e9, 3e9), links="line"), 3)
        model = twin.bs(1)
        assert model.tasks == [twin.device(j).task for j in (3, 4, 5, 6)]
        assert model.link_bps.tolist() == [100e6, np.inf, 100e6]
        assert model.cpu_hz == 2e9

    def test_channel_model_is_the_estimated_gain(self) -> None:
        twin = DigitalTwin(TINY, 3, Deviation(gain_bias=2.0))
        assert np.array_equal(twin.channel_gain(), PhysicalSystem(TINY, 3).state.gain * 2.0)


class TestBias:
    def test_multiplies_every_estimate_of_h_and_of_e(self) -> None:
        for plant, twin in following(TINY, Deviation(gain_bias=1.5, harvest_bias=0.5)):
            assert np.array_equal(twin.state.gain, plant.state.gain * 1.5)
            assert np.array_equal(twin.state.harvest_j, plant.state.harvest_j * 0.5)
            same = replace(twin.state, gain=plant.state.gain, harvest_j=plant.state.harvest_j)
            assert same_bits(replace(same, rate_bps=plant.state.rate_bps), plant.state)

    def test_the_rate_it_sees_follows_from_the_gain_it_believes(self) -> None:
        for plant, twin in following(TINY, Deviation(gain_bias=3.0), slots=2):
            sinr = plant.state.received_w * 3 / 0.01
            assert twin.state.rate_bps == pytest.approx(1e6 * np.log2(1 + sinr), rel=1e-12)

    def test_holds_ahead_as_well(self) -> None:
        plant = PhysicalSystem(TINY, 3)
        twin = DigitalTwin(TINY, 3, Deviation(gain_bias=1.5, harvest_bias=0.5))
        for _ in range(3):
            assert np.array_equal(twin.state.gain, plant.state.gain * 1.5)
            assert np.array_equal(twin.state.harvest_j, plant.state.harvest_j * 0.5)
            plant.step(NOTHING)
            twin.step(NOTHING)


class TestNoise:
    WIDE = Scenario(devices=(2000,))

    @pytest.mark.parametrize("field", ["gain", "harvest"])
    def test_is_a_lognormal_error_of_mean_one(self, field) -> None:
        deviation = Deviation(**{f"{field}_noise": 0.4})
        name = {"gain": "gain", "harvest": "harvest_j"}[field]
        errors = []
        for plant, twin in following(self.WIDE, deviation, slots=5):
            errors.append(getattr(twin.state, name) / getattr(plant.state, name))
            other = {"gain": "harvest_j", "harvest": "gain"}[field]
            assert np.array_equal(getattr(twin.state, other), getattr(plant.state, other))
        assert len({error[0] for error in errors}) == 5  # drawn anew at every update
        errors = np.concatenate(errors)
        assert stats.kstest(np.log(errors), stats.norm(-(0.4**2) / 2, 0.4).cdf).pvalue > 1e-3
        assert errors.mean() == pytest.approx(1.0, abs=5 * 0.42 / np.sqrt(errors.size))

    def test_comes_from_a_stream_of_its_own(self) -> None:
        """A noisy virtual space sees another channel, in the same world of tasks."""
        clear, noisy = DigitalTwin(TINY, 3), DigitalTwin(TINY, 3, Deviation(gain_noise=0.4))
        for _ in range(5):
            assert np.array_equal(clear.state.size_bits, noisy.state.size_bits)
            assert np.array_equal(clear.state.harvest_j, noisy.state.harvest_j)
            assert (clear.state.gain != noisy.state.gain).all()
            clear.step(NOTHING)
            noisy.step(NOTHING)


class TestStaleness:
    def test_h_and_e_are_held_between_updates_and_tasks_never_are(self) -> None:
        measured = None
        for plant, twin in following(TINY, Deviation(update_every=3)):
            if plant.state.slot % 3 == 0:
                measured = plant.state
            assert np.array_equal(twin.state.gain, measured.gain)
            assert np.array_equal(twin.state.harvest_j, measured.harvest_j)
            for name in ("size_bits", "density_cycles_per_bit", "deadline_s", "award", "link_bps", "cpu_hz"):
                assert np.array_equal(getattr(twin.state, name), getattr(plant.state, name))
            assert twin.state.slot == plant.state.slot

    def test_the_queue_is_measured_at_an_update_and_follows_6_in_between(self) -> None:
        expected, between = None, 0
        for plant, twin in following(TINY, Deviation(update_every=3, harvest_bias=0.5)):
            if plant.state.slot % 3 == 0:
                assert np.array_equal(twin.state.energy_j, plant.state.energy_j)
            else:
                assert twin.state.energy_j == pytest.approx(expected, rel=1e-12)
                between += not np.array_equal(twin.state.energy_j, plant.state.energy_j)
            predicted = twin.what_if(some_action(TINY, plant.state))
            expected = twin.state.energy_j + twin.state.harvest_j - predicted.spent_j
        assert between > 0

    def test_an_error_made_at_an_update_is_held_with_it(self) -> None:
        held = None
        for plant, twin in following(TINY, Deviation(update_every=4, gain_noise=0.4)):
            if plant.state.slot % 4 == 0:
                held = twin.state.gain
                assert not np.array_equal(held, plant.state.gain)
            assert np.array_equal(twin.state.gain, held)


class TestOutdated:
    def test_the_twin_believes_in_the_old_values(self) -> None:
        twin = DigitalTwin(TINY, 3, Deviation(outdated={"mean_gain": 0.4, "award": (2.0, 2.0)}))
        plant = PhysicalSystem(TINY, 3)
        assert twin.scenario == TINY.replace(mean_gain=0.4, award=2.0)
        assert twin.state.gain == pytest.approx(plant.state.gain * 4, rel=1e-12)
        assert (twin.state.award == 2.0).all()

    def test_reports_overrule_old_distributions_but_not_old_constants(self) -> None:
        old = Deviation(outdated={"mean_gain": 0.4, "noise_w_per_hz": 4e-8})
        for plant, twin in following(TINY, old, slots=3):
            assert np.array_equal(twin.state.gain, plant.state.gain)
            sinr = plant.state.received_w / 0.04
            assert twin.state.rate_bps == pytest.approx(1e6 * np.log2(1 + sinr), rel=1e-12)

    def test_a_field_that_no_scenario_has_is_refused(self) -> None:
        with pytest.raises(SettingError, match="did you mean 'mean_gain'"):
            DigitalTwin(TINY, 3, Deviation(outdated={"mean_gan": 0.4}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gain_bias", 0),
        ("gain_bias", -1.0),
        ("harvest_bias", float("nan")),
        ("gain_noise", -0.1),
        ("harvest_noise", float("inf")),
        ("update_every", 0),
        ("update_every", 1.5),
        ("outdated", 3),
    ],
)
def test_a_bad_deviation_is_refused_in_one_sentence(field, value) -> None:
    with pytest.raises(SettingError) as caught:
        Deviation(**{field: value})
    assert str(caught.value).startswith(f"Deviation.{field} = {value} is not allowed: it should be ")


DEVIATIONS = {
    "none": Deviation(),
    "noisy": Deviation(gain_noise=0.3, harvest_noise=0.2),
    "stale": Deviation(update_every=4),
    "stale and noisy": Deviation(update_every=4, gain_noise=0.3, gain_bias=1.1),
}


@pytest.mark.parametrize("stop", [4, 6])
@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_a_snapshot_of_a_twin_that_follows_a_plant_survives_json(deviation, stop) -> None:
    """Taken between two slots, wherever the next update of h and e falls."""
    plant, twin = PhysicalSystem(TINY, 1), DigitalTwin(TINY, 2, DEVIATIONS[deviation])
    restored = DigitalTwin(TINY, 2, DEVIATIONS[deviation])
    for slot in range(SLOTS):
        if slot == stop:
            restored.restore(json.loads(json.dumps(twin.snapshot())))
        twin.update(plant.state)
        action = some_action(TINY, plant.state)
        if slot >= stop:
            restored.update(plant.state)
            assert same_bits(restored.state, twin.state)
            restored.step(action)
        twin.step(action)
        plant.step(action)


def test_some_of_many_worlds_start_anew_and_the_others_go_on() -> None:
    own = [TINY.replace(fading="ar1"), TINY.replace(fading="ar1", cpu_hz=1e9)]
    deviation = {"gain_noise": 0.2, "update_every": 3, "outdated": {"link_bps": 1e6}}
    many, first = DigitalTwin(own, [1, 2], deviation), DigitalTwin(own[0], 1, deviation)
    everyone = make_agent("all-on", ScenarioStack(own))
    for twin in (many, first):
        rollout(everyone if twin is many else make_agent("all-on", own[0]), twin, 2)
    seen = many.state.gain.copy()
    many.restart([1], [9])
    singles = [first, DigitalTwin(own[1], 9, deviation)]
    assert np.array_equal(seen[0], many.state.gain[0])
    assert [single.state.gain.tolist() for single in singles] == many.state.gain.tolist()
    report = replace(PhysicalSystem(own, [5, 6]).state, slot=1)  # between two measurements, so that h is held
    for number, twin in enumerate(singles):
        twin.update(report.world(number))
    many.update(report)
    assert [single.state.gain.tolist() for single in singles] == many.state.gain.tolist()
    for _ in range(3):
        pairs = zip(singles, own, strict=True)
        alone = [single.step(make_agent("all-on", one).act(single.state)) for single, one in pairs]
        assert many.step(everyone.act(many.state)).income.tolist() == [float(one.income) for one in alone]


def test_a_snapshot_of_restarted_worlds_keeps_the_places_of_their_devices() -> None:
    scenario = TINY.replace(fading="path_loss")
    twin, restored = (DigitalTwin(scenario, [1, 2]) for _ in range(2))
    twin.restart([1], [9])
    restored.restore(json.loads(json.dumps(twin.snapshot())))
    action = some_action(scenario, twin.state)
    for one in (twin, restored):
        one.step(action)
    assert same_bits(restored.state, twin.state)
