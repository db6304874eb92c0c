"""The runs of an experiment as a table, learning curves or means: stored ones, or for a notebook computed now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from mecsim.experiments.panels import EXPERIMENTS, PRESETS, PROFILES, runs_of, wanted_seeds
from mecsim.experiments.runner import run_experiments
from mecsim.experiments.runs import missing_runs, path_of
from mecsim.experiments.store import ensure_place, read_table, shown
from mecsim.physics import Array
from mecsim.scenario import Scenario

LEAST_SEEDS = 2
"""An interval needs two."""

COLUMNS = ["label", "agent", "seed", "metric", "slot", "value"]


class MissingRuns(FileNotFoundError):
    """An experiment whose runs are not all stored."""


def stored_seeds(
    name: str, profile: str = "paper", preset: str = "calibrated", changes: Mapping[str, Any] | None = None
) -> list[int]:
    """The seeds of an experiment for which every run is stored, of those that the profile asks for."""
    folder, wanted = PROFILES[profile].folder, runs_of([name], profile, preset, changes=changes)
    return sorted({run.seed for run in wanted} - {run.seed for run in missing_runs(wanted, folder)})


def results(
    name: str,
    profile: str = "paper",
    preset: str = "calibrated",
    changes: Mapping[str, Any] | None = None,
    seeds: Collection[int] | None = None,
) -> pd.DataFrame:
    """All stored numbers of an experiment: columns label, agent, seed, metric, slot, value.

    A seed counts once all its runs are stored, so that a sweep that is still being computed is a result already.

    Args:
        name: the experiment.
        profile: the scale.
        preset: the scenario.
        changes: fields of the scenario that differ at every point.
        seeds: leave out all others.

    Raises:
        SettingError: the experiment or the profile is not known.
        MissingRuns: fewer than two seeds are whole; the message says how to compute them.
    """
    whole, scale = stored_seeds(name, profile, preset, changes), PROFILES[profile]
    ensure_place(scale.folder)
    if len(whole) < LEAST_SEEDS:
        wanted = wanted_seeds(name, profile, preset)
        raise MissingRuns(
            f"{name}: {len(whole)} of {wanted} seeds are stored for {preset} in {shown(scale.folder)}; compute them "
            f"with `mecsim run {name} --profile {profile} --preset {preset}`."
        )
    parts = [
        _stored(path_of(run, scale.folder)).assign(label=point.label)
        for seed in whole
        if seeds is None or seed in seeds
        for point in EXPERIMENTS[name].points
        for run in point.runs(scale, preset, seed, changes)
    ]
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)


def stored_tables(
    names: Collection[str], presets: Iterable[str] = PRESETS
) -> dict[str, dict[str, pd.DataFrame]]:
    """The results of some experiments of the paper profile by preset and name, for the presets that have them all.

    Raises:
        MissingRuns: no preset has them all.
    """
    tables, lacking = {}, None
    for preset in presets:
        try:
            tables[preset] = {name: results(name, preset=preset) for name in names}
        except MissingRuns as error:
            lacking = error
    if lacking and not tables:
        raise lacking
    return tables


def shared(tables: Iterable[pd.DataFrame]) -> list[pd.DataFrame]:
    """Results over the seeds that all of them have."""
    tables = list(tables)
    seeds = list(set.intersection(*(set(table["seed"]) for table in tables)))
    return [table.loc[table["seed"].isin(seeds)] for table in tables]


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


@cache
def _stored(path: Path) -> pd.DataFrame:
    """A result file, read once: its name holds everything that its content depends on."""
    return read_table(path, ["agent", "seed", "metric", "slot", "value"])


def curves(table: pd.DataFrame, agent: str = "INTO") -> dict[str, Array]:
    """The income of every training slot, by label, (seeds, slots)."""
    return {
        label: rows.pivot_table("value", "seed", "slot").to_numpy(dtype=np.float64)
        for label, rows in _by_label(table, "training income", agent)
    }


def means(table: pd.DataFrame, metric: str = "income", agent: str = "INTO") -> dict[str, Array]:
    """The mean of a metric over the evaluation slots, by label, (seeds,)."""
    return {
        label: rows.sort_values("seed")["value"].to_numpy(np.float64)
        for label, rows in _by_label(table, metric, agent)
    }


def _by_label(table: pd.DataFrame, metric: str, agent: str) -> Iterator[tuple[str, pd.DataFrame]]:
    rows = table.query("metric == @metric and agent == @agent")
    for label, part in rows.groupby("label", sort=False, observed=True):
        yield str(label), cast(pd.DataFrame, part)


def series(table: pd.DataFrame, metric: str = "income", agent: str = "INTO") -> Array:
    """The mean of a metric over the evaluation slots along a panel's x axis, (seeds, points)."""
    return np.stack(list(means(table, metric, agent).values()), axis=1)


def by_bs(table: pd.DataFrame, metric: str = "offloading", agent: str = "INTO", n_bs: int = 3) -> Array:
    """The mean of a metric of each BS along a panel's x axis, (seeds, points, n_bs)."""
    return np.stack([series(table, f"{metric} BS-{bs}", agent) for bs in range(1, n_bs + 1)], axis=2)
