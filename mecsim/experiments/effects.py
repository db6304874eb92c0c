"""What a change is worth: the income at each point of an experiment against that at one of them."""

from __future__ import annotations

import pandas as pd

from mecsim.experiments.results import means
from mecsim.experiments.statistics import interval
from mecsim.settings import SettingError


def effects(table: pd.DataFrame, base: str, agent: str = "INTO", metric: str = "income") -> pd.DataFrame:
    """The change of an agent's mean income from one point of an experiment to every other.

    Seeds are compared with themselves: both points train with the same streams and are evaluated in the same world.

    Args:
        table: what `mecsim.experiments.results.results` gives for the experiment.
        base: label of the point that the others are compared with.
        agent: whose income it is; points without that agent are left out.
        metric: what is compared.

    Returns:
        One row for each other point, in the order of the experiment: label, mean, low, high (shares of the income at
        the base, with their 95 % interval over seeds) and seeds.

    Raises:
        SettingError: the agent was not run at the base.
    """
    levels = means(table, metric, agent)
    if base not in levels:
        raise SettingError(
            f"base = {base!r} is not allowed: it should be one of the points of {agent}, "
            f"{', '.join(levels) or 'which has none'}."
        )
    rows = [
        {"label": label, **interval(of_label / levels[base] - 1.0)._asdict()}
        for label, of_label in levels.items()
        if label != base
    ]
    return pd.DataFrame(rows, columns=["label", "mean", "low", "high", "seeds"])
