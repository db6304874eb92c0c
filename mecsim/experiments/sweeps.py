"""The parameters that section V sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sweep:
    """One swept parameter of section V.

    Attributes:
        symbol: the paper's symbol, spelled out.
        field: the field of `Scenario` that it sets.
        values: where it is evaluated.
        stations: the BSs it applies to; all of them where None.
        axis: what an x axis says, with the unit of `per`.
        per: what a value is divided by on the axis.
    """

    symbol: str
    field: str
    values: tuple[float, ...]
    axis: str
    stations: tuple[int, ...] | None = None
    per: float = 1.0

    def changes(self, value: float, n_bs: int = 3) -> dict[str, Any]:
        """The change to a scenario at one value of the sweep."""
        scaled = range(n_bs) if self.stations is None else self.stations
        return {self.field: tuple(value if bs in scaled else 1.0 for bs in range(n_bs))}


AWARD = Sweep("xi", "award_scale", (1.0, 1.5, 2.0, 2.5, 3.0), "award scale ξ of BS-1", stations=(0,))
DENSITY = Sweep(
    "zeta", "density_scale", (1.0, 1.1, 1.2, 1.3, 1.4), "density scale ζ of BS-2 and BS-3", stations=(1, 2)
)
GAIN = Sweep("sigma", "gain_scale", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2), "channel gain scale σ")
HARVEST = Sweep("rho", "harvest_scale", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2), "harvest scale ρ")
SIZE = Sweep("chi", "size_scale", (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6), "task size scale χ")
CPU = Sweep("F", "cpu_hz", (3e9, 4e9, 5e9, 6e9, 7e9, 8e9), "CPU of each BS F (GHz)", per=1e9)
DEADLINE = Sweep("psi", "deadline_scale", (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0), "deadline scale ψ")
BANDWIDTH = Sweep(
    "B",
    "bandwidth_hz",
    (6e5, 8e5, 1e6, 1.2e6, 1.4e6, 1.6e6, 1.8e6, 2e6),
    "channel bandwidth B (MHz)",
    per=1e6,
)
