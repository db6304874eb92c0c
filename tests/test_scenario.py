"""Scenario: the paper's numbers, the presets, and every bad value refused in one sentence."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from worlds import scenarios

from mecsim.scenario import PER_BS_FIELDS, PRESETS, Scenario
from mecsim.settings import SettingError

NAN, INF = float("nan"), float("inf")
RANGES = ("size_bits", "density_cycles_per_bit", "deadline_s", "award", "power_w", "harvest_w")
POSITIVE = ("noise_w_per_hz", "link_bps", "tau_s", "mean_gain", "path_loss_exponent")
CHOICES = {
    "fading": "'exponential', 'constant', 'ar1' or 'path_loss'",
    "harvest_unit": "'power' or 'energy'",
    "power_drawn": "'once' or 'each slot'",
    "state_rate": "'interference-free', 'all-transmit' or 'last-slot'",
}


BAD = [
    # field, value, how the sentence shows it, what the sentence allows
    ("devices", (), "()", "at least 1"),
    ("devices", 3, "3", "tuple"),
    ("devices", (30, 0), "0", "greater than or equal to 1"),
    ("devices", (30, -5), "-5", "greater than or equal to 1"),
    ("devices", (30, 1.5), "1.5", "integer"),
    ("devices", "many", "'many'", "tuple"),
    *((name, (2.0, 1.0), "(2.0, 1.0)", "low <= high") for name in RANGES),
    *((name, 0, "0", "greater than 0") for name in RANGES),
    *((name, (-1.0, 1.0), "-1.0", "greater than 0") for name in RANGES),
    *((name, NAN, "nan", "finite") for name in RANGES),
    *((name, (1.0, INF), "inf", "finite") for name in RANGES),
    *((name, (1.0,), "(1.0,)", "(low, high)") for name in RANGES),
    *((name, (1.0, 2.0, 3.0), "(1.0, 2.0, 3.0)", "(low, high)") for name in RANGES),
    *((name, "much", "'much'", "(low, high)") for name in RANGES),
    *((name, 0, "0", "greater than 0") for name in PER_BS_FIELDS),
    *((name, (1.0, -1.0, 1.0), "-1.0", "greater than 0") for name in PER_BS_FIELDS),
    *((name, (1.0, 1.0), "(1.0, 1.0)", "one for each of the 3 BSs") for name in PER_BS_FIELDS),
    *((name, (), "()", "one for each of the 3 BSs") for name in PER_BS_FIELDS),
    *((name, INF, "inf", "finite") for name in PER_BS_FIELDS),
    *((name, NAN, "nan", "finite") for name in PER_BS_FIELDS),
    *((name, "much", "'much'", "one for each") for name in PER_BS_FIELDS),
    *((name, 0, "0", "greater than 0") for name in POSITIVE),
    *((name, -2.5, "-2.5", "greater than 0") for name in POSITIVE),
    *((name, NAN, "nan", "finite") for name in POSITIVE),
    *((name, INF, "inf", "finite") for name in POSITIVE),
    *((name, "much", "'much'", "number") for name in POSITIVE),
    *((name, "sometimes", "'sometimes'", allowed) for name, allowed in CHOICES.items()),
    *((name, None, "None", allowed) for name, allowed in CHOICES.items()),
    ("interference", -0.1, "-0.1", "greater than or equal to 0"),
    ("interference", 1.1, "1.1", "less than or equal to 1"),
    ("interference", NAN, "nan", "1"),
    ("fading_memory", -0.1, "-0.1", "greater than or equal to 0"),
    ("fading_memory", 1.0, "1.0", "less than 1"),
    ("initial_energy_j", -1.0, "-1.0", "greater than or equal to 0"),
    ("initial_energy_j", INF, "inf", "finite"),
    ("battery_j", 0, "0", "greater than 0"),
    ("battery_j", NAN, "nan", "greater than 0"),
    ("links", "ring", "'ring'", "'all', 'line'"),
    ("links", 5, "5", "'star'"),
    ("links", ((0, 1, 2),), "((0, 1, 2),)", "pairs"),
    ("links", (1, 2), "(1, 2)", "pairs"),
    ("links", ((0, 1.5),), "((0, 1.5),)", "pairs"),
    ("links", ((-1, 0),), "((-1, 0),)", "two of the BSs 0..2"),
    ("links", ((0, 3),), "((0, 3),)", "two of the BSs 0..2"),
    ("links", ((1, 1),), "((1, 1),)", "two of the BSs 0..2"),
    ("tau_s", 1.9, "1.9", "at least the longest deadline, 2.0 s"),
    ("deadline_scale", 11, "11", "below the upper"),
    ("deadline_scale", (1, 1, 11), "11", "below the upper"),
]


@pytest.mark.parametrize(("field", "value", "shown", "allowed"), BAD)
def test_a_bad_value_is_refused_in_one_sentence(field, value, shown, allowed) -> None:
    with pytest.raises(SettingError) as caught:
        Scenario(**{field: value})
    sentence = str(caught.value)
    assert sentence.startswith(("Scenario.", "Scenario: "))
    assert f"{field} = " in sentence
    for part in (shown, " is not allowed: ", allowed):
        assert part in sentence
    assert sentence.endswith(".")
    for leaked in ("pydantic", "validation", "Input", "Tuple", "Field", "\n"):
        assert leaked not in sentence


def test_every_field_is_among_the_bad_values() -> None:
    assert {field for field, *_ in BAD} == set(Scenario.model_fields)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"deadline_s": (0.2, 4.0)}, r"at least the longest deadline, 4\.0 s"),
        ({"devces": 1}, "Scenario has no field 'devces': did you mean 'devices'?"),
        ({"cpu": 1}, "Scenario has no field 'cpu': did you mean 'cpu_hz'?"),
    ],
)
def test_a_deadline_beyond_the_slot_or_an_unknown_field_is_refused(values, sentence) -> None:
    with pytest.raises(SettingError, match=sentence):
        Scenario(**values)


class TestPaperNumbers:
    """Section V, read off the paper."""

    def test_ranges_and_numbers(self) -> None:
        scenario = Scenario()
        assert scenario.devices == (30, 55, 80)
        assert scenario.size_bits == (50_000, 80_000)
        assert scenario.density_cycles_per_bit == (3000, 8000)
        assert scenario.deadline_s == (0.2, 2)
        assert scenario.award == (1, 3)
        assert scenario.power_w == (0.050, 0.180)
        assert scenario.harvest_w == (0.001, 0.0015)
        assert scenario.bandwidth_hz == (1e6,)
        assert scenario.noise_w_per_hz == 1e-8
        assert scenario.cpu_hz == (5e9,)
        assert scenario.link_bps == 100e6
        assert all(getattr(scenario, name) == (1.0,) for name in PER_BS_FIELDS if name.endswith("_scale"))

    @pytest.mark.parametrize("preset", PRESETS)
    def test_presets_differ_from_the_paper_only_where_it_is_silent_or_overruled(self, preset) -> None:
        allowed = {"interference", "mean_gain", "tau_s", "fading", "noise_w_per_hz"}
        assert set(PRESETS[preset]) <= allowed
        assert Scenario.preset(preset) == Scenario(**PRESETS[preset])

    def test_calibrated_is_the_default_and_the_others_have_eq_3_to_the_letter(self) -> None:
        printed, physical = Scenario.preset("printed"), Scenario.preset("physical")
        assert Scenario.preset("calibrated") == Scenario()
        assert printed.interference == physical.interference == 1.0
        assert 10 * np.log10(physical.noise_w_per_hz * 1000) == pytest.approx(-174, abs=0.01)  # dBm/Hz
        assert physical.fading == "path_loss"

    def test_a_preset_takes_changes(self) -> None:
        assert Scenario.preset("printed", devices=(2, 3)).devices == (2, 3)
        with pytest.raises(SettingError, match=r"Scenario.mean_gain = -1"):
            Scenario.preset("printed", mean_gain=-1)

    def test_an_unknown_preset_is_refused(self) -> None:
        with pytest.raises(SettingError) as caught:
            Scenario.preset("printd")
        assert str(caught.value) == (
            "preset = 'printd' is not allowed: it should be one of calibrated, printed, physical."
        )


class TestShape:
    def test_devices_are_numbered_cell_by_cell(self) -> None:
        scenario = Scenario(devices=(2, 1, 3))
        assert (scenario.n_bs, scenario.n_devices) == (3, 6)
        assert scenario.cell.tolist() == [0, 0, 1, 2, 2, 2]

    def test_one_number_serves_every_bs_and_one_each_is_kept_apart(self) -> None:
        assert Scenario(devices=(2, 1), cpu_hz=3e9).per_bs("cpu_hz").tolist() == [3e9, 3e9]
        scenario = Scenario(devices=(2, 1), cpu_hz=(3e9, 4e9), bandwidth_hz=[1e6, 2e6])
        assert scenario.per_bs("cpu_hz").tolist() == [3e9, 4e9]
        assert scenario.per_device("cpu_hz").tolist() == [3e9, 3e9, 4e9]
        assert scenario.device_bandwidth_hz.tolist() == [1e6, 1e6, 2e6]

    @pytest.mark.parametrize(
        "number", [2, 2.0, np.float64(2), np.int64(2), np.float32(2)], ids=lambda n: type(n).__name__
    )
    def test_any_kind_of_number_will_do(self, number) -> None:
        assert Scenario(cpu_hz=number).cpu_hz == (2.0,)
        assert Scenario(award=number).award == (2.0, 2.0)
        assert Scenario(mean_gain=number).mean_gain == 2.0

    @pytest.mark.parametrize("of", [tuple, list, np.array])
    def test_any_kind_of_list_will_do(self, of) -> None:
        scenario = Scenario(
            devices=of([1, 2]), cpu_hz=of([1e9, 2e9]), award=of([2.0, 4.0]), links=of([(0, 1)])
        )
        assert scenario == Scenario(devices=(1, 2), cpu_hz=(1e9, 2e9), award=(2, 4), links=((0, 1),))

    @pytest.mark.parametrize(
        ("links", "pairs"),
        [
            ("all", {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}),
            ("line", {(0, 1), (1, 2), (2, 3)}),
            ("star", {(0, 1), (0, 2), (0, 3)}),
            (((1, 3), (2, 0)), {(1, 3), (0, 2)}),
            ((), set()),
        ],
    )
    def test_links(self, links, pairs) -> None:
        rates = Scenario(devices=(1, 1, 1, 1), links=links, link_bps=7e6).link_rates_bps
        for a in range(4):
            for b in range(4):
                linked = (min(a, b), max(a, b)) in pairs
                assert rates[a, b] == (np.inf if a == b else 7e6 if linked else 0.0)

    @pytest.mark.parametrize(("links", "count"), [("all", 66), ("line", 11), ("star", 11)])
    def test_any_number_of_bss(self, links, count) -> None:
        for n_bs, expected in ((1, 0), (2, 1), (12, count)):
            rates = Scenario(devices=(2,) * n_bs, links=links).link_rates_bps
            assert np.array_equal(rates, rates.T)
            assert (np.triu(rates, 1) > 0).sum() == expected

    def test_harvest_in_watts_takes_a_slot_to_be_joules(self) -> None:
        assert Scenario(tau_s=4.0).slot_harvest_s == 4.0
        assert Scenario(tau_s=4.0, harvest_unit="energy").slot_harvest_s == 1.0

    def test_the_table_has_every_parameter_with_unit_and_source(self) -> None:
        rows = Scenario().table()
        assert [row.name for row in rows] == list(Scenario.model_fields)
        assert all(row.source for row in rows)
        by_name = {row.name: row for row in rows}
        assert by_name["cpu_hz"][1:4] == ("F_i", (5e9,), "Hz")
        units = {"_hz": "Hz", "_bps": "bit/s", "_s": "s", "_w": "W", "_j": "J", "_bits": "bit"}
        for row in rows:
            unit = next((unit for ending, unit in units.items() if row.name.endswith(ending)), None)
            if unit and not row.name.endswith("_per_hz"):
                assert row.unit == unit, row.name


class TestRecord:
    def test_arrays_cannot_be_written(self) -> None:
        scenario = Scenario(devices=(2, 2))
        for array in (scenario.cell, scenario.link_rates_bps, scenario.device_bandwidth_hz):
            with pytest.raises(ValueError, match="read-only"):
                array.flat[0] = 1

    @given(scenarios())
    @hypothesis_settings(max_examples=30)
    def test_equal_hashed_and_copied_by_value_before_and_after_use(self, scenario) -> None:
        other = Scenario(**{name: getattr(scenario, name) for name in Scenario.model_fields})
        copies = [other, copy.deepcopy(scenario), pickle.loads(pickle.dumps(scenario))]
        for one in (scenario, *copies):
            _ = one.cell, one.link_rates_bps, one.device_bandwidth_hz  # worked out once and kept
        copies += [copy.deepcopy(scenario), pickle.loads(pickle.dumps(scenario)), scenario.replace()]
        for one in copies:
            assert one == scenario
            assert hash(one) == hash(scenario)
        assert scenario != scenario.replace(tau_s=scenario.tau_s + 1)
        assert scenario != "calibrated"


def test_what_is_obviously_meant_is_taken() -> None:
    written = Scenario(devices=np.array([3, 4]), cpu_hz="5e9", size_bits=["5e4", 8e4], tau_s=np.float32(3))
    assert written == Scenario(devices=(3, 4))
    assert Scenario.of("printed") == Scenario.preset("printed")
    assert Scenario.of({"devices": [3, 4]}) == written
    with pytest.raises(
        SettingError, match=r"devices = 10 is not allowed: .* of each BS, such as \(30, 55, 80\)"
    ):
        Scenario(devices=10)
    with pytest.raises(
        SettingError, match="cpu_hz = 'fast' is not allowed: it should be one number, or one for each BS"
    ):
        Scenario(cpu_hz="fast")
