"""Validated settings, frozen all the way down, that refuse a bad value in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from operator import index
from typing import Annotated, Any, NoReturn, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

Whole = Annotated[int, Field(ge=1)]
Hidden = Annotated[tuple[Whole, ...], Field(min_length=1)]
"""Neurons in each hidden layer of a network."""


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed, nor anything in it: lists become tuples; it can be hashed."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        super().__init__({name: _frozen(value) for name, value in (values or {}).items()})

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        """Refuses every change."""
        raise TypeError("these settings are frozen: make new ones with replace().")

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse  # type: ignore[assignment]


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return FrozenDict(value)
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


Changes = Annotated[dict[str, Any], AfterValidator(FrozenDict)]
"""Fields of another record by name, frozen."""


class SettingError(ValueError):
    """A setting that is not allowed: the message names the field, the value and what is allowed."""


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """An argument that counts something, or a seed, of any integer type, NumPy's too.

    Raises:
        SettingError: it is no whole number, or a smaller one; the message names it.
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise SettingError(
            f"{name} = {value!r} is not allowed: it should be a whole number, {least} or more."
        )
    return number


def as_number(value: Any) -> Any:
    """A number in words as that number, such as "5e9", which YAML reads as text; anything else as it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class Settings(BaseModel):
    """Base of every settings record: frozen, no unknown fields, one-sentence errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True, validate_default=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingError(_sentence(type(self), error.errors()[0])) from None

    @classmethod
    def of(cls, given: Any) -> Self:
        """The record that an argument stands for: the argument itself, its fields in a dict, the defaults for None.

        Raises:
            SettingError: it is something else, or a field is not allowed.
        """
        if type(given) is cls or isinstance(given, cls):  # the latter is slow
            return given
        if given is None or isinstance(given, Mapping):
            return cls(**(given or {}))
        raise SettingError(
            f"{cls.__name__} = {given!r} is not allowed: it should be {cls.__name__}(...), or a dict of its fields."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(tuple(self._values().items()))

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new record."""
        return type(self)(**{**self._values(), **changes})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Pydantic's name for `replace`."""
        return self.replace(**(update or {}))

    copy = model_copy  # type: ignore[assignment]

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Pydantic's way round validation, which there is none of."""
        return cls(**values)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any = None) -> Self:
        return self

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__dict__": self._values()}

    def _values(self) -> dict[str, Any]:
        """The fields alone, without what a subclass has worked out from them and keeps."""
        return {name: getattr(self, name) for name in type(self).model_fields}


def _sentence(model: type[BaseModel], detail: ErrorDetails) -> str:
    path = [str(part) for part in detail["loc"] if not str(part).startswith("function-")]
    field = path[0] if path else ""
    if detail["type"] == "extra_forbidden":
        near = get_close_matches(field, model.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(model.model_fields)}."
        return f"{model.__name__} has no field {field!r}: {hint}"
    if detail["type"] == "missing":
        return f"{model.__name__}.{field} is missing."
    allowed = _allowed(detail)
    if not field:
        return f"{model.__name__}: {allowed}."
    return f"{model.__name__}.{field} = {detail['input']!r} is not allowed: it should {allowed}."


def _allowed(detail: ErrorDetails) -> str:
    """What a value should do, to follow "it should"; the whole reason where no field is to blame."""
    if detail["type"] == "too_short":
        return f"have at least {detail.get('ctx', {})['min_length']} item"
    message = detail["msg"]
    if detail["type"] == "value_error":
        reason = message.removeprefix("Value error, ")
        return f"be {reason}" if detail["loc"] else reason
    return message.removeprefix("Input should ")
