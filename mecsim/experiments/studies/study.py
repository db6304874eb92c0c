"""What a study is: a seeded measurement beside the runs, of Algorithm 1, of a training or of bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mecsim.experiments.panels import FEW_SEEDS, PRESETS, PROFILES
from mecsim.scenario import PRESETS as SCENARIOS
from mecsim.settings import FrozenDict

SEEDS = {preset: PROFILES["paper"].seeds_of(preset) for preset in PRESETS}
"""How many seeds the claims need: those of the runs."""
LONG = dict.fromkeys(SCENARIOS, FEW_SEEDS)
"""The seeds of studies that take long, by preset."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        measure: measures a preset and a seed, giving rows with metric, value and the columns of `index`.
        sizes: what it takes beside these.
        about_s: seconds that a preset and seed takes on one core, about.
        index: what tells the rows of a metric apart.
        seeds: how many seeds are wanted by preset, none where a preset is left out; by default those of the runs, and
            few of other presets.
    """

    measure: Callable[..., list[Row]]
    sizes: dict[str, Any]
    about_s: float
    index: tuple[str, ...] = ("devices",)
    seeds: Mapping[str, int] = FrozenDict({**LONG, **SEEDS})
