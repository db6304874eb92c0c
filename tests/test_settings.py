"""Settings: frozen, compared by value, and refused in one sentence."""

import copy
import pickle
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, ValidationError

from mecsim.scenario import Scenario
from mecsim.settings import Changes, FrozenDict, SettingError, Settings, whole_number


class Kettle(Settings):
    """A record to try things on."""

    litres: Annotated[float, Field(gt=0, le=2)] = 1.0
    lid: Literal["on", "off"] = "on"
    holes: tuple[int, ...] = (1, 2)


def refusal(**values: object) -> str:
    with pytest.raises(SettingError) as caught:
        Kettle(**values)
    return str(caught.value)


def test_a_bad_value_is_refused_by_field_value_and_what_is_allowed() -> None:
    assert refusal(litres=3) == "Kettle.litres = 3 is not allowed: it should be less than or equal to 2."
    assert refusal(lid="ajar") == "Kettle.lid = 'ajar' is not allowed: it should be 'on' or 'off'."
    assert refusal(holes=(1, "x")).startswith(
        "Kettle.holes = 'x' is not allowed: it should be a valid integer"
    )


def test_an_unknown_field_is_answered_with_the_nearest_or_with_all() -> None:
    assert refusal(liters=1) == "Kettle has no field 'liters': did you mean 'litres'?"
    assert refusal(colour=1) == "Kettle has no field 'colour': the fields are litres, lid, holes."


def test_a_refusal_is_a_value_error_without_pydantic_s_report() -> None:
    with pytest.raises(ValueError, match=r"Kettle\.litres") as caught:
        Kettle(litres=-1)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_frozen() -> None:
    kettle = Kettle()
    with pytest.raises(ValidationError, match="frozen"):
        kettle.litres = 2.0
    assert kettle.litres == 1.0


def test_replace_copies_and_validates() -> None:
    kettle = Kettle(lid="off")
    bigger = kettle.replace(litres=2)
    assert (kettle.litres, bigger.litres, bigger.lid) == (1.0, 2.0, "off")
    with pytest.raises(SettingError, match=r"Kettle\.litres = 5"):
        kettle.replace(litres=5)
    with pytest.raises(SettingError, match="did you mean 'lid'"):
        kettle.replace(lids="on")


class Pot(Settings):
    """A record with another's fields in it."""

    changes: Changes = FrozenDict()
    lid: Kettle = Kettle()


def test_equal_by_value_hashable_and_copied_whole() -> None:
    assert Kettle() == Kettle(litres=1)
    assert hash(Kettle()) == hash(Kettle(litres=1))
    assert Kettle() != Kettle(litres=2)
    assert len({Kettle(), Kettle(litres=1), Kettle(litres=2)}) == 2
    for one in (Kettle(lid="off"), Pot(changes={"a": [1, {"b": 2}]})):
        for twin in (
            copy.copy(one),
            copy.deepcopy(one),
            pickle.loads(pickle.dumps(one)),
            one.model_copy(deep=True),
        ):
            assert twin == one
            assert hash(twin) == hash(one)


def test_frozen_all_the_way_down() -> None:
    given = {"tau_s": 4.0, "devices": [1, 2], "outdated": {"cpu_hz": [1e9]}}
    pot = Pot(changes=given)
    given["devices"].append(3)
    assert pot.changes == {"tau_s": 4.0, "devices": (1, 2), "outdated": {"cpu_hz": (1e9,)}}
    for change in (
        lambda: pot.changes.__setitem__("tau_s", 5.0),
        lambda: pot.changes["outdated"].update(cpu_hz=1),
        lambda: pot.changes.pop("tau_s"),
        lambda: pot.changes.setdefault("x", 1),
        lambda: pot.changes.clear(),
        lambda: pot.changes.__ior__({"x": 1}),
        lambda: pot.changes.__delitem__("tau_s"),
        lambda: pot.changes.popitem(),
    ):
        with pytest.raises(TypeError, match="these settings are frozen"):
            change()
    assert pot.model_dump(mode="json") == {
        "changes": {"tau_s": 4.0, "devices": [1, 2], "outdated": {"cpu_hz": [1e9]}},
        "lid": {"litres": 1.0, "lid": "on", "holes": [1, 2]},
    }
    assert {**pot.changes, "x": 1}["x"] == 1
    assert hash(Pot(changes={"a": 1, "b": 2})) == hash(Pot(changes={"b": 2, "a": 1}))
    assert Pot().replace(changes={"a": [1]}).changes == {"a": (1,)}


def test_whatever_pydantic_calls_a_copy_or_a_record_is_validated() -> None:
    kettle = Kettle(lid="off")
    for made in (
        kettle.copy(update={"litres": 2}),
        kettle.__replace__(litres=2),
        Kettle.model_construct(litres=2, lid="off"),
    ):
        assert made == Kettle(litres=2, lid="off")
    for call in (kettle.copy, lambda update: kettle.__replace__(**update)):
        with pytest.raises(SettingError, match=r"Kettle\.litres = 5"):
            call(update={"litres": 5})
    with pytest.raises(SettingError, match=r"Kettle\.litres = 5"):
        Kettle.model_construct(litres=5)


def test_what_an_argument_stands_for() -> None:
    kettle = Kettle(lid="off")
    assert Kettle.of(kettle) is kettle
    assert Kettle.of({"lid": "off"}) == kettle
    assert Kettle.of(None) == Kettle()
    with pytest.raises(
        SettingError, match=r"Kettle = 3 is not allowed: it should be Kettle\(...\), or a dict of its fields"
    ):
        Kettle.of(3)
    with pytest.raises(SettingError, match="Kettle = Pot"):
        Kettle.of(Pot())
    with pytest.raises(SettingError, match="did you mean 'lid'"):
        Kettle.of({"lids": "on"})


@pytest.mark.parametrize("given", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_a_whole_number_is_of_any_integer_type(given) -> None:
    assert type(whole_number("slots", given)) is int


@pytest.mark.parametrize("given", [None, "1", 1.5, 1.0, True, np.True_, -1, [1]])
def test_what_is_no_whole_number_is_refused(given) -> None:
    with pytest.raises(
        SettingError, match=r"slots = .* is not allowed: it should be a whole number, 0 or more\."
    ):
        whole_number("slots", given)


def test_a_copy_with_changes_is_validated_and_keeps_nothing_worked_out_before() -> None:
    scenario = Scenario()
    assert scenario.per_bs("cpu_hz").tolist() == [5e9] * 3
    for slower in (scenario.replace(cpu_hz=1e9), scenario.model_copy(update={"cpu_hz": (1e9,)})):
        assert slower.per_bs("cpu_hz").tolist() == [1e9] * 3
        assert slower == Scenario(cpu_hz=1e9)
    assert scenario.cell.size == 165
    bigger = scenario.replace(devices=(2, 2, 5), links="line")
    assert (bigger.cell.size, bigger.link_rates_bps[0, 2]) == (9, 0.0)
    with pytest.raises(SettingError, match=r"Scenario\.cpu_hz = -1 is not allowed"):
        scenario.model_copy(update={"cpu_hz": -1})
    again = pickle.loads(pickle.dumps(scenario))
    assert again.per_device("cpu_hz").shape == (165,)
