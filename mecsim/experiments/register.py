"""The register of what the paper leaves open, and what each alternative was measured to change."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

import pandas as pd

from mecsim.experiments.panels import ALTERNATIVES
from mecsim.experiments.results import MissingRuns, means, results
from mecsim.experiments.sensitivity import DEFAULT, stored_sensitivity
from mecsim.experiments.statistics import interval
from mecsim.experiments.store import CHECKOUT, DATA, shown

REGISTER = (CHECKOUT or DATA.parent) / "ASSUMPTIONS.md"
COLUMNS = ("id", "open point", "default", "alternatives", "setting", "why the default")


def register(path: Path = REGISTER) -> pd.DataFrame:
    """The first table of the register's file: id, open point, default, alternatives, setting, why the default.

    Raises:
        FileNotFoundError: there is no such file, as where mecsim is installed outside a checkout.
        ValueError: the file has no such table.
    """
    if not path.exists():
        raise FileNotFoundError(f"{shown(path)} is not there: the register comes with a checkout of mecsim.")
    below = dropwhile(
        lambda line: not re.match(r"\| A\d+ ", line), path.read_text(encoding="utf-8").splitlines()
    )
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in takewhile(lambda line: line.startswith("|"), below)
    ]
    if not rows or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"{path.name} has no table with the columns {', '.join(COLUMNS)}.")
    return pd.DataFrame(rows, columns=COLUMNS)


def income_effects(table: pd.DataFrame) -> pd.DataFrame:
    """What each alternative changes of the income at the defaults: INTO's, trained under it, or its own agent's.

    Seeds are compared with themselves: both trainings have the same streams and are evaluated in the same world.

    Args:
        table: what `mecsim.experiments.results.results` gives for the experiment "assumptions".

    Returns:
        Columns assumption, choice, agent, mean, low, high (shares of the income under the defaults, with their 95 %
        interval over seeds) and seeds.
    """
    incomes = {agent: means(table, agent=agent) for agent in {one.agents[0] for one in ALTERNATIVES}}
    rows = []
    for one in ALTERNATIVES:
        agent = one.agents[0]
        change = interval(incomes[agent][one.name] / incomes[agent]["default"] - 1.0)
        rows.append({"assumption": one.assumption, "choice": one.name, "agent": agent, **change._asdict()})
    return pd.DataFrame(rows)


def verdict_changes() -> dict[str, list[str]]:
    """The claims whose verdict is another than under the defaults, by choice, with all-on in INTO's place.

    Raises:
        FileNotFoundError: nothing is stored.
    """
    table = stored_sensitivity()[["choice", "claim", "verdict"]]
    verdicts: dict[str, dict[str, str]] = {}
    for choice, claim, verdict in table.itertuples(index=False, name=None):
        verdicts.setdefault(choice, {})[claim] = verdict
    usual = verdicts.pop(DEFAULT.name)
    return {
        choice: [f"{claim} {verdict}" for claim, verdict in ruled.items() if verdict != usual[claim]]
        for choice, ruled in verdicts.items()
    }


def effects_table() -> str:
    """What every alternative was measured to change, as a Markdown table."""
    try:
        effects = income_effects(results("assumptions")).to_dict("records")
    except MissingRuns:
        effects = []
    incomes = {effect["choice"]: _in_percent(effect) for effect in effects}
    changes = verdict_changes()
    lines = ["| alternative | INTO's income | other verdicts, all-on in INTO's place |", "|---" * 3 + "|"]
    for one in ALTERNATIVES:
        untold = "of the evaluation alone" if "all-on" in one.agents else "needs trainings"
        verdicts = ", ".join(changes.get(one.name, [untold])) or "none"
        lines.append(f"| {one.name} | {incomes.get(one.name, 'not computed yet')} | {verdicts} |")
    return "\n".join(lines)


def _in_percent(effect: Mapping[Hashable, Any]) -> str:
    mean, low, high = (100 * effect[name] for name in ("mean", "low", "high"))
    whose = "" if effect["agent"] == "INTO" else f"{effect['agent']}: "
    return f"{whose}{mean:+.1f} % [{low:+.1f}, {high:+.1f}], {effect['seeds']} seeds"
