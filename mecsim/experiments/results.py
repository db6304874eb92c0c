"""Reads the stored runs of an experiment as a table, learning curves or means."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mecsim.experiments.computing import path_of
from mecsim.experiments.registry import EXPERIMENTS, PROFILES, point_runs, runs_of
from mecsim.physics import Array


class MissingRuns(FileNotFoundError):
    """An experiment whose runs are not all stored."""


def results(
    name: str, profile: str = "paper", preset: str = "calibrated", seeds: int | None = None
) -> pd.DataFrame:
    """All stored numbers of an experiment: columns label, agent, seed, metric, slot, value.

    Raises:
        SettingError: the experiment or the profile is not known.
        MissingRuns: a run is missing; the message says how to compute it.
    """
    folder, wanted = PROFILES[profile].folder, runs_of([name], profile, preset, seeds)
    missing = [run for run in wanted if not path_of(run, folder).exists()]
    if missing:
        raise MissingRuns(
            f"{name}: {len(missing)} of {len(wanted)} runs are not stored; compute them with "
            f"`mecsim run {name} --profile {profile} --preset {preset}`."
        )
    parts = [
        pd.read_parquet(path_of(run, folder)).assign(label=point.label)
        for seed in sorted({run.seed for run in wanted})
        for point in EXPERIMENTS[name].points
        for run in point_runs(point, PROFILES[profile], preset, seed)
    ]
    return pd.concat(parts, ignore_index=True)[["label", "agent", "seed", "metric", "slot", "value"]]


def curves(table: pd.DataFrame, agent: str = "INTO") -> dict[str, Array]:
    """The income of every training slot, by label, (seeds, slots)."""
    rows = table[(table["metric"] == "training income") & (table["agent"] == agent)]
    return {label: _wide(rows[rows["label"] == label], "slot") for label in rows["label"].unique()}


def means(table: pd.DataFrame, metric: str = "income", agent: str = "INTO") -> dict[str, Array]:
    """The mean of a metric over the evaluation slots, by label, (seeds,)."""
    rows = table[(table["metric"] == metric) & (table["agent"] == agent)]
    return {label: _wide(rows[rows["label"] == label], "metric")[:, 0] for label in rows["label"].unique()}


def _wide(rows: pd.DataFrame, columns: str) -> Array:
    wide = rows.pivot_table(index="seed", columns=columns, values="value", observed=True)
    return wide.to_numpy(dtype=np.float64)
