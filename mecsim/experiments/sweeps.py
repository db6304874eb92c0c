"""The parameters that section V sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sweep:
    """One swept parameter of section V.

    Attributes:
        symbol: the paper's symbol, spelled out.
        field: the field of `Scenario` that it scales.
        values: where it is evaluated.
        stations: the BSs it applies to; all of them where None.
    """

    symbol: str
    field: str
    values: tuple[float, ...]
    stations: tuple[int, ...] | None = None

    def changes(self, value: float, n_bs: int = 3) -> dict[str, Any]:
        """The change to a scenario at one value of the sweep."""
        scaled = range(n_bs) if self.stations is None else self.stations
        return {self.field: tuple(value if bs in scaled else 1.0 for bs in range(n_bs))}


AWARD = Sweep("xi", "award_scale", (1.0, 1.5, 2.0, 2.5, 3.0), stations=(0,))
DENSITY = Sweep("zeta", "density_scale", (1.0, 1.1, 1.2, 1.3, 1.4), stations=(1, 2))
GAIN = Sweep("sigma", "gain_scale", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2))
HARVEST = Sweep("rho", "harvest_scale", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2))
