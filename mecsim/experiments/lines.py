"""The lines of Figs 3 to 6 and of the bounds: who is shown, where, and over which runs."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from mecsim.experiments.panels import COUNTED, EVERYONE, EXPERIMENTS, FIGURES
from mecsim.experiments.results import by_bs, curves, series
from mecsim.experiments.statistics import interval, trailing_mean
from mecsim.physics import Array

ALL = "all"
"""The line of Fig. 5 that has the offloading devices of all BSs."""
EVERY = 20
"""Slots between two places of a line of Fig. 3, counted from the last."""
COLUMNS = ["agent", "line", "x", "mean", "low", "high", "seeds"]


def lines(name: str, table: pd.DataFrame) -> dict[tuple[str, str], Array]:
    """The lines of a panel by agent and name, (seeds, places).

    Fig. 3 has the average income of INTO at each training slot, a line a point. Figs 4 and 5 have the offloading
    devices of each BS (Fig. 5: and of all) along the x axis, Fig. 6 the mean income of each agent.

    Args:
        name: the panel.
        table: its results.
    """
    if name in FIGURES["fig3"]:
        return {("INTO", label): trailing_mean(incomes) for label, incomes in curves(table).items()}
    if name in FIGURES["fig6"]:
        return {(agent, "income"): series(table, agent=agent) for agent in EVERYONE}
    found = {}
    for agent in COUNTED:
        counts = by_bs(table, agent=agent)
        found |= {(agent, f"BS-{bs + 1}"): counts[..., bs] for bs in range(counts.shape[2])}
        if name in FIGURES["fig5"]:
            found[agent, ALL] = counts.sum(axis=2)
    return found


def places(name: str) -> list[float]:
    """The places on the x axis of a panel of Figs 4 to 6."""
    return [point.x for point in EXPERIMENTS[name].points if point.x is not None]


def lines_table(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The mean and 95 % interval over seeds at each place of the lines of a panel.

    Args:
        name: the panel.
        table: its results.

    Returns:
        Columns agent, line, x (Fig. 3: the slot), mean, low, high, seeds.
    """
    rows = []
    for (agent, line), runs in lines(name, table).items():
        x = places(name)
        if name in FIGURES["fig3"]:
            x = np.arange(runs.shape[1] - 1, -1, -EVERY)[::-1]
            runs = runs[:, x]
        rows += [(agent, line, at, *interval(of)) for at, of in zip(x, runs.T, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def bounds_table(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The mean and 95 % interval of income over each bound, by panel of Fig. 6: as `lines_table`, a line a bound.

    Args:
        table: of `ratios`.
    """
    found = {}
    for panel, there in table.groupby("panel", sort=False):
        groups = there.groupby(["agent", "bound", "x"], sort=False)["ratio"]
        rows = [(*cast("tuple[str, str, float]", key), *interval(part)) for key, part in groups]
        found[str(panel)] = pd.DataFrame(rows, columns=COLUMNS)
    return found
