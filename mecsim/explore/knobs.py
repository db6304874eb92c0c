"""The parameters that section V sweeps, each as something to turn, and the scenario that they make together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mecsim.experiments import panels as sweeps
from mecsim.experiments.panels import Sweep
from mecsim.scenario import Scenario
from mecsim.settings import SettingError


class Knob(NamedTuple):
    """One parameter with its range.

    Attributes:
        symbol: how the paper writes it.
        name: what it is.
        unit: of its values.
        low, high, step, default: its values.
        sweep: what a value changes; None for alpha, which the paper does not sweep.
    """

    symbol: str
    name: str
    unit: str
    low: float
    high: float
    step: float
    default: float
    sweep: Sweep | None

    @property
    def label(self) -> str:
        """Symbol, name and unit."""
        return f"{self.symbol}, {self.name} ({self.unit})"

    def changes(self, value: float) -> dict[str, Any]:
        """The change to a scenario at a value; none at the default."""
        if value == self.default:
            return {}
        if self.sweep is None:
            return {"interference": value}
        return self.sweep.changes(value * self.sweep.per)


def _scale(symbol: str, name: str, sweep: Sweep, step: float = 0.1) -> Knob:
    return Knob(symbol, name, "× default", min(sweep.values), max(sweep.values), step, 1.0, sweep)


KNOBS = {
    "xi": _scale("ξ", "award, BS-1", sweeps.AWARD),
    "zeta": _scale("ζ", "density, BS-2 and BS-3", sweeps.DENSITY, 0.05),
    "sigma": _scale("σ", "channel gain", sweeps.GAIN),
    "rho": _scale("ρ", "harvested energy", sweeps.HARVEST),
    "chi": _scale("χ", "task size", sweeps.SIZE),
    "psi": _scale("ψ", "shortest deadline", sweeps.DEADLINE),
    "F": Knob("F", "CPU of each BS", "GHz", 3.0, 8.0, 0.5, 5.0, sweeps.CPU),
    "B": Knob("B", "bandwidth", "MHz", 0.6, 2.0, 0.1, 1.0, sweeps.BANDWIDTH),
    "alpha": Knob("α", "interference factor", "share of eq. (3)", 0.0, 1.0, 0.01, 0.03, None),
}
"""In the order of section V; the ranges are those of its sweeps, the defaults those of `calibrated`."""


def scenario_at(values: Mapping[str, float]) -> Scenario:
    """The preset `calibrated` with some parameters changed.

    Raises:
        SettingError: there is no such parameter, or its value is out of its range.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in KNOBS:
            raise SettingError(
                f"parameter = {name!r} is not allowed: it should be one of {', '.join(KNOBS)}."
            )
        knob = KNOBS[name]
        if not knob.low <= value <= knob.high:
            raise SettingError(
                f"{name} = {value!r} is not allowed: it should be between {knob.low:g} and {knob.high:g} {knob.unit}."
            )
        changes |= knob.changes(value)
    return Scenario.preset("calibrated", **changes)
