"""Results for a notebook: stored ones at the paper's scale, or computed here at the quick one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import pandas as pd

from mecsim.experiments.panels import PROFILES
from mecsim.experiments.results import MissingRuns, results, stored_tables
from mecsim.experiments.runner import run_experiments
from mecsim.scenario import Scenario


class Results(NamedTuple):
    """Results by preset and panel, and the scale at which they were computed."""

    tables: dict[str, dict[str, pd.DataFrame]]
    profile: str

    @property
    def scale(self) -> str:
        """The scale in words, for a reader who must not take a quick look for a result."""
        scale = PROFILES[self.profile]
        return f"profile {self.profile}: {scale.slots} slots trained, {scale.evaluation_slots} evaluated"


def results_for(
    panels: Collection[str], presets: Collection[str], changes: Mapping[str, Any] | None = None
) -> Results:
    """The results of some panels under some presets.

    Stored runs at the paper's scale are taken for the presets that have them. Where none has, and for a scenario with
    changes, what is missing at the quick scale is computed.

    Raises:
        SettingError: a preset or a change is not allowed.
    """
    for preset in presets:
        Scenario.preset(preset, **(changes or {}))
    if not changes:
        with suppress(MissingRuns):
            return Results(stored_tables(panels, presets), "paper")
    for preset in presets:
        run_experiments(panels, "quick", preset, changes=changes)
    tables = {
        preset: {name: results(name, "quick", preset, changes) for name in panels} for preset in presets
    }
    return Results(tables, "quick")
