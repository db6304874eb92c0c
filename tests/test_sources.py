"""Random streams, and the processes of section V: their ranges, their laws, and common random numbers."""

import json

import numpy as np
import pytest
from scipy import stats
from worlds import TINY, same_bits

from mecsim.scenario import PRESETS, Scenario
from mecsim.system import STREAMS, Draw, Sources, generator_state, restore_generator, stream

SLOTS = 400


def draws(scenario: Scenario, slots: int = SLOTS, seed: int = 0) -> Draw:
    """The draws of many slots, each field (slots, n_devices)."""
    sources = Sources(scenario, seed)
    return Draw(*(np.array(field) for field in zip(*(sources.draw() for _ in range(slots)), strict=True)))


class TestRanges:
    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [
            ("size_bits", 50e3, 80e3),
            ("density_cycles_per_bit", 3000, 8000),
            ("deadline_s", 0.2, 2.0),
            ("award", 1, 3),
            ("harvest_j", 3e-3, 4.5e-3),  # U[1, 1.5] mW for 3 s (A4)
        ],
    )
    def test_uniform_over_the_paper_s_range(self, name, low, high) -> None:
        values = getattr(draws(TINY), name).ravel()
        assert low <= values.min() < values.max() < high
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3

    def test_power_is_drawn_once_or_each_slot(self) -> None:
        wide = Scenario(devices=(1000,))
        once = draws(wide, slots=3).power_w
        assert (once == once[0]).all()
        assert stats.kstest(once[0], stats.uniform(0.05, 0.13).cdf).pvalue > 1e-3
        each = draws(wide.replace(power_drawn="each slot"), slots=3).power_w
        assert (each[0] != each[1]).all()
        assert stats.kstest(each.ravel(), stats.uniform(0.05, 0.13).cdf).pvalue > 1e-3

    def test_harvest_in_joules_does_not_know_the_slot(self) -> None:
        short, long = (draws(TINY.replace(harvest_unit="energy", tau_s=tau)).harvest_j for tau in (2.0, 20.0))
        assert np.array_equal(short, long)
        assert 1e-3 <= short.min() < short.max() < 1.5e-3

    def test_a_single_number_is_a_constant(self) -> None:
        values = draws(TINY.replace(size_bits=6e4, award=2), slots=5)
        assert (values.size_bits == 6e4).all()
        assert (values.award == 2).all()


class TestFading:
    def test_exponential_has_mean_one_and_is_drawn_anew(self) -> None:
        gain = draws(TINY.replace(mean_gain=0.3)).gain / 0.3
        assert stats.kstest(gain.ravel(), stats.expon.cdf).pvalue > 1e-3
        assert abs(lag_one(gain)) < 5 / np.sqrt(gain.size)

    def test_constant(self) -> None:
        assert (draws(TINY.replace(fading="constant", mean_gain=0.3), slots=5).gain == 0.3).all()

    @pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
    def test_ar1_has_mean_one_an_exponential_law_and_the_square_of_its_memory(self, memory) -> None:
        """The gain is |a|^2 of a complex AR(1) a, whose autocorrelation is that of a squared."""
        wide = Scenario(devices=(300,), fading="ar1", fading_memory=memory, mean_gain=1.0)
        gain = draws(wide, slots=300).gain
        effective = gain.size * (1 - memory**2) / (1 + memory**2)
        assert abs(gain.mean() - 1.0) < 5 / np.sqrt(effective)
        assert stats.kstest(gain[::100].ravel(), stats.expon.cdf).pvalue > 1e-3
        assert lag_one(gain) == pytest.approx(memory**2, abs=0.03)

    def test_path_loss_follows_the_place_of_a_device_in_its_cell(self) -> None:
        scenario = Scenario(devices=(4000,), fading="path_loss", mean_gain=2.0, path_loss_exponent=3.0)
        mean = Sources(scenario, 0)._mean_gain
        distance = (mean / 2.0) ** (-1 / 3.0)  # 1 at the edge of the cell
        assert 0.05 <= distance.min() < distance.max() < 1.0
        uniform_over_the_disc = stats.uniform(0.05**2, 1 - 0.05**2)
        assert stats.kstest(distance**2, uniform_over_the_disc.cdf).pvalue > 1e-3

    def test_path_loss_keeps_the_place_and_fades_around_it(self) -> None:
        scenario = Scenario(devices=(5,), fading="path_loss")
        gain = draws(scenario, slots=4000).gain
        mean = Sources(scenario, 0)._mean_gain
        assert gain.mean(axis=0) == pytest.approx(mean, rel=0.1)


def lag_one(values: np.ndarray) -> float:
    """Autocorrelation of lag one slot, over all devices."""
    centred = values - values.mean()
    return float((centred[1:] * centred[:-1]).mean() / centred.var())


class TestCommonRandomNumbers:
    @pytest.mark.parametrize(
        ("scale", "field"),
        [
            ("award_scale", "award"),
            ("density_scale", "density_cycles_per_bit"),
            ("gain_scale", "gain"),
            ("harvest_scale", "harvest_j"),
            ("size_scale", "size_bits"),
        ],
    )
    def test_a_scale_multiplies_its_own_quantity_in_its_own_cell(self, scale, field) -> None:
        plain, scaled = draws(TINY, slots=20), draws(TINY.replace(**{scale: (2.0, 1.0, 0.5)}), slots=20)
        for name in Draw._fields:
            factor = np.array([2.0, 1.0, 0.5])[TINY.cell] if name == field else 1.0
            assert getattr(scaled, name) == pytest.approx(getattr(plain, name) * factor, rel=1e-15)

    def test_psi_raises_the_lower_end_of_the_deadline(self) -> None:
        plain, scaled = draws(TINY), draws(TINY.replace(deadline_scale=(4.0, 1.0, 2.0)))
        low = 0.2 * np.array([4.0, 1.0, 2.0])[TINY.cell]
        luck = (plain.deadline_s - 0.2) / 1.8
        assert scaled.deadline_s == pytest.approx(low + (2.0 - low) * luck, rel=1e-12)
        assert (scaled.deadline_s >= plain.deadline_s).all()
        assert scaled.deadline_s.max() < 2.0

    def test_other_ranges_meet_the_same_luck(self) -> None:
        plain = draws(TINY, slots=20)
        other = draws(TINY.replace(size_bits=(0.5, 1.5), award=(10.0, 20.0), mean_gain=5.0), slots=20)
        assert other.size_bits - 0.5 == pytest.approx((plain.size_bits - 50e3) / 30e3, rel=1e-9)
        assert (other.award - 10) / 10 == pytest.approx((plain.award - 1) / 2, rel=1e-9)
        assert other.gain == pytest.approx(plain.gain * 50, rel=1e-12)

    @pytest.mark.parametrize(
        "changes",
        [{"power_drawn": "each slot"}, {"fading": "ar1"}, {"fading": "constant"}, {"harvest_unit": "energy"}],
    )
    def test_one_process_does_not_disturb_the_others(self, changes) -> None:
        plain, other = draws(TINY, slots=20), draws(TINY.replace(**changes), slots=20)
        touched = {"power_drawn": "power_w", "fading": "gain", "harvest_unit": "harvest_j"}[
            next(iter(changes))
        ]
        for name in Draw._fields:
            same = np.array_equal(getattr(plain, name), getattr(other, name))
            assert same == (name != touched)

    def test_path_loss_leaves_tasks_and_harvests_alone(self) -> None:
        plain, other = draws(TINY, slots=20), draws(TINY.replace(fading="path_loss"), slots=20)
        for name in ("size_bits", "density_cycles_per_bit", "deadline_s", "award", "harvest_j"):
            assert np.array_equal(getattr(plain, name), getattr(other, name))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_other_numbers(preset) -> None:
    scenario = Scenario.preset(preset)
    one, same, other = (draws(scenario, slots=3, seed=seed) for seed in (4, 4, 5))
    assert same_bits(one, same)
    for name in Draw._fields:
        assert not np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("fading", ["exponential", "constant", "ar1", "path_loss"])
@pytest.mark.parametrize("power_drawn", ["once", "each slot"])
def test_a_snapshot_survives_json_bit_for_bit(fading, power_drawn) -> None:
    scenario = TINY.replace(fading=fading, power_drawn=power_drawn)
    sources = Sources(scenario, 8)
    for _ in range(5):
        sources.draw()
    saved = json.dumps(sources.snapshot())
    expected = [sources.draw() for _ in range(5)]
    restored = Sources(scenario, 8)
    restored.restore(json.loads(saved))
    assert all(same_bits(one, restored.draw()) for one in expected)


def test_a_snapshot_before_the_first_draw() -> None:
    scenario = TINY.replace(fading="ar1")
    sources = Sources(scenario, 8)
    restored = Sources(scenario, 8)
    saved = sources.snapshot()
    first = sources.draw()
    restored.draw()
    restored.restore(saved)
    assert same_bits(first, restored.draw())


def test_the_same_seed_and_name_give_the_same_bits() -> None:
    for name in STREAMS:
        assert stream(7, name).random(100).tobytes() == stream(7, name).random(100).tobytes()


def test_other_seeds_and_other_names_give_other_numbers() -> None:
    first = {(seed, name): float(stream(seed, name).random()) for seed in range(50) for name in STREAMS}
    assert len(set(first.values())) == 50 * len(STREAMS)


def test_streams_of_one_seed_are_uncorrelated() -> None:
    draws = np.array([stream(3, name).standard_normal(20_000) for name in STREAMS])
    correlation = np.corrcoef(draws) - np.eye(len(STREAMS))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_drawing_from_one_stream_leaves_the_others_alone() -> None:
    tasks, channel = stream(1, "tasks"), stream(1, "channel")
    tasks.random(1000)
    assert channel.random(10).tobytes() == stream(1, "channel").random(10).tobytes()


def test_a_position_survives_json() -> None:
    generator = stream(5, "harvest")
    generator.random(13)
    generator.standard_normal(3)
    saved = json.dumps(generator_state(generator))
    expected = generator.standard_exponential(20)
    other = stream(6, "tasks")
    restore_generator(other, json.loads(saved))
    assert other.standard_exponential(20).tobytes() == expected.tobytes()


def test_a_bad_seed_or_name_is_refused() -> None:
    with pytest.raises(ValueError, match="seed = -1 is not allowed: it should be 0 or more"):
        stream(-1, "tasks")
    with pytest.raises(ValueError, match="weather"):
        stream(0, "weather")
