"""The register of what the paper leaves open, and what each alternative was measured to change."""

from __future__ import annotations

import re
from itertools import dropwhile, takewhile
from pathlib import Path

import pandas as pd

from mecsim.experiments.effects import effects
from mecsim.experiments.panels import ALTERNATIVES
from mecsim.experiments.results import MissingRuns, results
from mecsim.experiments.sensitivity import DEFAULT, stored_sensitivity
from mecsim.experiments.store import ROOT

REGISTER = ROOT / "ASSUMPTIONS.md"
COLUMNS = ("id", "open point", "default", "alternatives", "setting", "why the default")


def register(path: Path = REGISTER) -> pd.DataFrame:
    """The first table of the register's file: id, open point, default, alternatives, setting, why the default.

    Raises:
        ValueError: the file has no such table.
    """
    below = dropwhile(lambda line: not re.match(r"\| A\d+ ", line), path.read_text().splitlines())
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in takewhile(lambda line: line.startswith("|"), below)
    ]
    if not rows or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"{path.name} has no table with the columns {', '.join(COLUMNS)}.")
    return pd.DataFrame(rows, columns=COLUMNS)


def income_effects(table: pd.DataFrame) -> pd.DataFrame:
    """What each alternative changes of the income at the defaults, of INTO trained under it (of DDQN where it is hers).

    Args:
        table: what `mecsim.experiments.results.results` gives for the experiment "assumptions".

    Returns:
        Columns assumption, choice, agent, mean, low, high (shares of the income under the defaults) and seeds.
    """
    measured = {agent: effects(table, "default", agent).set_index("label") for agent in ("INTO", "DDQN")}
    return pd.DataFrame(
        [
            {
                "assumption": one.assumption,
                "choice": one.name,
                "agent": one.agents[0],
                **measured[one.agents[0]].loc[one.name].to_dict(),
            }
            for one in ALTERNATIVES
        ]
    )


def verdict_changes() -> dict[str, list[str]]:
    """The claims whose verdict is another than under the defaults, by choice, with all-on in INTO's place.

    Raises:
        FileNotFoundError: nothing is stored.
    """
    table = stored_sensitivity()
    usual = table[table["choice"] == DEFAULT.name].set_index("claim")["verdict"]
    return {
        str(choice): [
            f"{row.claim} {row.verdict}" for row in part.itertuples() if row.verdict != usual[row.claim]
        ]
        for choice, part in table.groupby("choice", sort=False)
        if choice != DEFAULT.name
    }


def effects_table() -> str:
    """What every alternative was measured to change, as a Markdown table."""
    try:
        income = income_effects(results("assumptions")).set_index("choice")
    except MissingRuns:
        income = None
    changes = verdict_changes()
    lines = ["| alternative | INTO's income | other verdicts, all-on in INTO's place |", "|---" * 3 + "|"]
    for one in ALTERNATIVES:
        moved = "not computed yet" if income is None else _in_percent(income.loc[one.name])
        verdicts = ", ".join(changes.get(one.name, ["no rule can tell"])) or "none"
        lines.append(f"| {one.name} | {moved} | {verdicts} |")
    return "\n".join(lines)


def _in_percent(effect: pd.Series) -> str:
    mean, low, high = (100 * effect[name] for name in ("mean", "low", "high"))
    whose = "" if effect["agent"] == "INTO" else f"{effect['agent']}: "
    return f"{whose}{mean:+.1f} % [{low:+.1f}, {high:+.1f}], {effect['seeds']:.0f} seeds"
