"""Scenario: every parameter of the paper's section V, with symbol, unit and source, in one frozen record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from mecsim.settings import SettingError, Settings, Whole, as_number

SMALLEST, LARGEST = 1e-30, 1e30
"""Limits of every quantity, far from any that is met: what is worked out from them stays a number."""


def _met(value: float) -> float:
    if value != 0 and not SMALLEST <= value <= LARGEST:
        raise ValueError(f"between {SMALLEST} and {LARGEST}")
    return value


def _counts(value: Any) -> Any:
    if not isinstance(value, list | tuple | np.ndarray) or len(value) == 0:
        raise ValueError("a tuple of at least 1 number, the devices of each BS, such as (30, 55, 80)")
    return value


def _pair(value: Any) -> Any:
    value = as_number(value)
    if isinstance(value, Real):
        return (value, value)
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 2:
        raise ValueError("a number or a range (low, high)")
    return value


def _each(value: Any) -> Any:
    value = as_number(value)
    if isinstance(value, Real):
        return (value,)
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError("one number, or one for each BS")
    return value


def _links(value: Any) -> Any:
    if isinstance(value, str) and value in ("all", "line", "star"):
        return value
    try:
        pairs: Any = value
        return tuple((index(a), index(b)) for a, b in pairs)
    except (TypeError, ValueError):
        raise ValueError("'all', 'line', 'star' or pairs of BSs") from None


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_met)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_met)]
Range = Annotated[tuple[Positive, Positive], BeforeValidator(_pair)]
Devices = Annotated[tuple[Whole, ...], BeforeValidator(_counts)]
PerBS = Annotated[tuple[Positive, ...], BeforeValidator(_each)]
Links = Annotated[Literal["all", "line", "star"] | tuple[tuple[int, int], ...], BeforeValidator(_links)]


def _quantity(default: Any, symbol: str, unit: str, source: str, **limits: Any) -> Any:
    return Field(default, json_schema_extra={"symbol": symbol, "unit": unit, "source": source}, **limits)


class Parameter(NamedTuple):
    """One row of the parameter table."""

    name: str
    symbol: str
    value: Any
    unit: str
    source: str


class Scenario(Settings):
    """Every parameter of the collaborative MEC system; the defaults are the preset `calibrated`.

    A range (low, high) is that of a uniform distribution, a single number a constant. A per-BS field takes one
    number for all base stations or one for each. A BS is named by its index 0..N-1 (BS-1 is 0).

    Raises:
        SettingError: a value is not allowed; the message names the field, the value and what is allowed.
    """

    if TYPE_CHECKING:  # a number stands for as many as a field has

        def __init__(self, **values: Any) -> None: ...

    devices: Devices = _quantity((30, 55, 80), "U_i", "devices", "section V")
    size_bits: Range = _quantity((50e3, 80e3), "z", "bit", "section V")
    density_cycles_per_bit: Range = _quantity((3000.0, 8000.0), "v", "cycle/bit", "section V")
    deadline_s: Range = _quantity((0.2, 2.0), "delta", "s", "section V")
    award: Range = _quantity((1.0, 3.0), "g", "1", "section V")
    power_w: Range = _quantity((0.05, 0.18), "p", "W", "section V")
    harvest_w: Range = _quantity((1.0e-3, 1.5e-3), "e", "W", "section V; unit A4")
    bandwidth_hz: PerBS = _quantity(1e6, "B", "Hz", "section V", validate_default=True)
    noise_w_per_hz: Positive = _quantity(1e-8, "N_0", "W/Hz", "section V")
    cpu_hz: PerBS = _quantity(5e9, "F_i", "Hz", "section V", validate_default=True)
    link_bps: Positive = _quantity(100e6, "C", "bit/s", "section V")
    links: Links = _quantity("all", "", "", "A17")

    tau_s: Positive = _quantity(3.0, "tau", "s", "A3")
    interference: float = _quantity(0.03, "alpha", "1", "A1", ge=0, le=1)
    mean_gain: Positive = _quantity(0.5, "E[h]", "1", "A2")
    fading: Literal["exponential", "constant", "ar1", "path_loss"] = _quantity("exponential", "", "", "A2")
    fading_memory: float = _quantity(0.9, "", "1", "A2, only for ar1", ge=0, lt=1)
    path_loss_exponent: Positive = _quantity(3.76, "", "1", "A2, only for path_loss", le=20)
    harvest_unit: Literal["power", "energy"] = _quantity("power", "", "", "A4")
    initial_energy_j: NonNegative = _quantity(0.0, "Q(0)", "J", "A5")
    battery_j: Annotated[float, Field(gt=0)] = _quantity(float("inf"), "", "J", "A5")
    power_drawn: Literal["once", "each slot"] = _quantity("once", "", "", "A6")
    state_rate: Literal["interference-free", "all-transmit", "last-slot"] = _quantity(
        "interference-free", "nu in s(t)", "", "A7"
    )

    award_scale: PerBS = _quantity(1.0, "xi", "1", "Fig. 4(a)", validate_default=True)
    density_scale: PerBS = _quantity(1.0, "zeta", "1", "Fig. 4(b)", validate_default=True)
    gain_scale: PerBS = _quantity(1.0, "sigma", "1", "Fig. 5(a)", validate_default=True)
    harvest_scale: PerBS = _quantity(1.0, "rho", "1", "Fig. 5(b)", validate_default=True)
    size_scale: PerBS = _quantity(1.0, "chi", "1", "Fig. 6(a)", validate_default=True)
    deadline_scale: PerBS = _quantity(1.0, "psi", "1, on the lower end", "Fig. 6(c)", validate_default=True)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """The scenario of a named preset, with some fields changed.

        Raises:
            SettingError: no preset has that name, or a change is not allowed.
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise SettingError(f"preset = {name!r} is not allowed: it should be one of {', '.join(PRESETS)}.")
        return cls(**{**PRESETS[name], **changes})

    @classmethod
    def of(cls, given: Any) -> Self:
        """The scenario that an argument stands for: a scenario, the name of a preset, or a dict of fields.

        Raises:
            SettingError: it is something else, or a field is not allowed.
        """
        return cls.preset(given) if isinstance(given, str) else super().of(given)

    @field_validator("size_bits", "density_cycles_per_bit", "deadline_s", "award", "power_w", "harvest_w")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("a range (low, high) with low <= high")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n_bs = len(self.devices)
        for name in PER_BS_FIELDS:
            if len(getattr(self, name)) not in (1, n_bs):
                raise ValueError(
                    f"{name} = {getattr(self, name)} is not allowed: it should have one number, or one for each of "
                    f"the {n_bs} BSs"
                )
        if self.deadline_s[1] > self.tau_s:
            raise ValueError(
                f"tau_s = {self.tau_s} is not allowed: it should be at least the longest deadline, "
                f"{self.deadline_s[1]} s (section III-A)"
            )
        if self.deadline_s[0] * max(self.deadline_scale) > self.deadline_s[1]:
            raise ValueError(
                f"deadline_scale = {self.deadline_scale} is not allowed: it should keep the lower end of "
                f"deadline_s = {self.deadline_s} below the upper"
            )
        if isinstance(self.links, tuple) and any(
            a == b or min(a, b) < 0 or max(a, b) >= n_bs for a, b in self.links
        ):
            raise ValueError(
                f"links = {self.links} is not allowed: a link joins two of the BSs 0..{n_bs - 1}"
            )
        return self

    @property
    def n_bs(self) -> int:
        """Number of base stations, N."""
        return len(self.devices)

    @property
    def n_devices(self) -> int:
        """Number of devices in all cells."""
        return sum(self.devices)

    @cached_property
    def cell(self) -> NDArray[np.intp]:
        """The serving BS of each device, (n_devices,)."""
        return _frozen(np.repeat(np.arange(self.n_bs), self.devices))

    @cached_property
    def devices_of(self) -> tuple[NDArray[np.intp], ...]:
        """The devices that each BS serves."""
        return tuple(_frozen(np.flatnonzero(self.cell == bs)) for bs in range(self.n_bs))

    def per_bs(self, name: str) -> NDArray[np.float64]:
        """A per-BS field as an array, (n_bs,)."""
        if name not in self._per_bs:
            self._per_bs[name] = _frozen(np.broadcast_to(np.asarray(getattr(self, name), float), self.n_bs))
        return self._per_bs[name]

    def per_device(self, name: str) -> NDArray[np.float64]:
        """A per-BS field as seen by each device, (n_devices,)."""
        if name not in self._per_device:
            self._per_device[name] = _frozen(self.per_bs(name)[self.cell])
        return self._per_device[name]

    @cached_property
    def _per_bs(self) -> dict[str, NDArray[np.float64]]:
        return {}

    @cached_property
    def _per_device(self) -> dict[str, NDArray[np.float64]]:
        return {}

    @cached_property
    def device_bandwidth_hz(self) -> NDArray[np.float64]:
        """Bandwidth of each device's cell, (n_devices,)."""
        return self.per_device("bandwidth_hz")

    @cached_property
    def link_rates_bps(self) -> NDArray[np.float64]:
        """C of section III-A, (n_bs, n_bs): infinite on the diagonal, 0 where two BSs are not linked."""
        rates = np.zeros((self.n_bs, self.n_bs))
        for a, b in self._linked_pairs():
            rates[a, b] = rates[b, a] = self.link_bps
        np.fill_diagonal(rates, np.inf)
        return _frozen(rates)

    def _linked_pairs(self) -> list[tuple[int, int]]:
        pairs = [(a, b) for a in range(self.n_bs) for b in range(a + 1, self.n_bs)]
        if self.links == "all":
            return pairs
        if self.links == "line":
            return [(a, b) for a, b in pairs if b == a + 1]
        if self.links == "star":
            return [(a, b) for a, b in pairs if a == 0]
        return list(self.links)

    @property
    def slot_harvest_s(self) -> float:
        """Seconds that turn a drawn harvest into joules: tau, or 1 where `harvest_unit` is energy."""
        return self.tau_s if self.harvest_unit == "power" else 1.0

    def kind(self) -> dict[str, Any]:
        """What scenarios have in common whose worlds can be stepped together: all fields that are no mere numbers."""
        words = (name for name, value in self if isinstance(value, str))
        return {name: getattr(self, name) for name in ("devices", *words, "links")}

    def table(self) -> list[Parameter]:
        """Every parameter with its symbol, value, unit and source, for printing."""
        rows = []
        for name, field in type(self).model_fields.items():
            extra: Any = field.json_schema_extra
            rows.append(Parameter(name, extra["symbol"], getattr(self, name), extra["unit"], extra["source"]))
        return rows


class Stack:
    """Records that differ in numbers alone, as one.

    A field is what it is in each where all agree. Where they differ a number is an array (members, 1), a range two of
    them, and an array has an axis of members before its own.

    Args:
        members: the records.
    """

    def __init__(self, members: Iterable[Any]) -> None:
        self.members = tuple(members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "members":
            raise AttributeError(name)
        values = [getattr(member, name) for member in self.members]
        if callable(values[0]):
            raise AttributeError(f"a {type(self).__name__} has no {name}(): ask one of its members.")
        value = self.__dict__[name] = together(values)
        return value

    def replace(self, **changes: Any) -> Self:
        """The members with some fields changed, each validated like a new one."""
        return type(self)([member.replace(**changes) for member in self.members])


def together(values: Sequence[Any]) -> Any:
    """One value for all members of a stack, or one with an axis of members."""
    first = values[0]
    if all(np.array_equal(first, value) for value in values):
        return first
    if isinstance(first, tuple):
        return tuple(together(ends) for ends in zip(*values, strict=True))
    return np.stack(values) if isinstance(first, np.ndarray) else np.array(values)[:, None]


def flat(number: float | NDArray[Any]) -> Any:
    """A number of a stack as (members,), if it has an axis of members."""
    return number[:, 0] if isinstance(number, np.ndarray) else number


class ScenarioStack(Stack):
    """Scenarios that differ in numbers alone, as one: what many worlds that are stepped at once need of theirs.

    Args:
        members: the scenario of each world.

    Raises:
        SettingError: there is none, or they differ in more than numbers.
    """

    members: tuple[Scenario, ...]

    def __init__(self, members: Sequence[Scenario]) -> None:
        super().__init__(Scenario.of(member) for member in members)
        if not self.members:
            raise SettingError("scenario = [] is not allowed: there should be at least one world.")
        for name in self.members[0].kind():
            found = {getattr(member, name) for member in self.members}
            if len(found) > 1:
                raise SettingError(
                    f"{name} = {', '.join(map(repr, found))} is not allowed: scenarios of worlds that are stepped "
                    "together should differ in numbers alone."
                )

    def per_bs(self, name: str) -> NDArray[np.float64]:
        """A per-BS field as an array, (n_bs,), or (members, n_bs) where they differ."""
        return together([member.per_bs(name) for member in self.members])

    def per_device(self, name: str) -> NDArray[np.float64]:
        """A per-BS field as seen by each device, (n_devices,), or (members, n_devices) where they differ."""
        return together([member.per_device(name) for member in self.members])


def _frozen(array: NDArray) -> NDArray:
    array.setflags(write=False)
    return array


SCALE_FIELDS = (
    "award_scale",
    "density_scale",
    "gain_scale",
    "harvest_scale",
    "size_scale",
    "deadline_scale",
)
PER_BS_FIELDS = ("bandwidth_hz", "cpu_hz", *SCALE_FIELDS)

PresetName = Literal["calibrated", "printed", "physical"]

PRESETS: dict[str, dict[str, Any]] = {
    "calibrated": {},
    "printed": {"interference": 1.0, "mean_gain": 0.2, "tau_s": 12.0},
    "physical": {
        "interference": 1.0,
        "fading": "path_loss",
        "mean_gain": 2.84e-11,
        "noise_w_per_hz": 3.98e-21,
    },
}
"""What each preset changes: `calibrated` is the cell that the calibration rule picks, `printed` keeps eq. (3) to
the letter, `physical` has -174 dBm/Hz of noise and 3GPP urban path loss at the edge of a 250 m cell."""
