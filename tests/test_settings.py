"""Settings: frozen, compared by value, and refused in one sentence."""

import copy
import pickle
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from mecsim.settings import SettingError, Settings


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


def test_equal_by_value_hashable_and_copied_whole() -> None:
    assert Kettle() == Kettle(litres=1)
    assert hash(Kettle()) == hash(Kettle(litres=1))
    assert Kettle() != Kettle(litres=2)
    assert len({Kettle(), Kettle(litres=1), Kettle(litres=2)}) == 2
    for twin in (copy.deepcopy(Kettle(lid="off")), pickle.loads(pickle.dumps(Kettle(lid="off")))):
        assert twin == Kettle(lid="off")
