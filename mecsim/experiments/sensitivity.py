"""How the verdicts hang on what the paper leaves open: those that agents without learning can show.

To train INTO at every point of Figs 4 to 6 under every alternative would take weeks. So all-on stands in for it, whose
counts INTO's are close to under the defaults, and C4 to C16 are judged by the same margins with the rules alone. What
the other claims look at is learning itself, or Algorithm 1 by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mecsim.agents import make_agent
from mecsim.experiments.claims import margins_of
from mecsim.experiments.computing import averages
from mecsim.experiments.panels import ALTERNATIVES, EXPERIMENTS, FIGURES, Alternative
from mecsim.experiments.pool import run_tasks
from mecsim.experiments.provenance import NUMERICS, provenance, read_manifest, write_manifest
from mecsim.experiments.runs import EVALUATION_WORLDS
from mecsim.experiments.statistics import verdict
from mecsim.experiments.store import DATA, read_tables, write_table
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

FOLDER = DATA / "sensitivity"
SLOTS = 300
SEEDS = 5
STAND_IN = "all-on"
"""Takes INTO's place."""
RULES = (STAND_IN, "LPWPO", "OLNPO")
DEFAULT = Alternative("", "default", RULES)
COUNT_PANELS = FIGURES["fig4"] + FIGURES["fig5"]


def choices() -> list[Alternative]:
    """The defaults, and every alternative that can move what rules do."""
    return [DEFAULT, *(one for one in ALTERNATIVES if one.moves_rules)]


def path_of(choice: Alternative, folder: Path = FOLDER) -> Path:
    """Where the measurement of a choice is stored."""
    return folder / f"{re.sub('[^a-z0-9]+', '-', choice.name.lower()).strip('-')}.parquet"


def missing_choices(folder: Path = FOLDER) -> list[Alternative]:
    """The choices that are not stored."""
    return [choice for choice in choices() if not path_of(choice, folder).exists()]


def lacking_choices(folder: Path = FOLDER) -> list[str]:
    """One sentence if choices are not stored."""
    missing = missing_choices(folder)
    if not missing:
        return []
    return [
        f"the sensitivity of the verdicts lacks {len(missing)} of {len(choices())} choices; run `mecsim sensitivity`."
    ]


def stale_choices(folder: Path = FOLDER) -> list[str]:
    """One sentence for every stored choice that is not what would be measured now."""
    now = {path_of(choice).name: settings_of(choice) for choice in choices()}
    return [
        f"data/{folder.name}/{name} is stale; delete it and run `mecsim sensitivity`."
        for name, entry in sorted(read_manifest(folder).items())
        if entry["numerics"] != NUMERICS or entry["run"] != json.loads(json.dumps(now.get(name)))
    ]


def measure_sensitivity(workers: int | None = None, folder: Path = FOLDER) -> None:
    """Measures every choice that is not stored yet.

    Args:
        workers: processes side by side; by default one a core.
        folder: where they are stored.
    """
    run_tasks(partial(measure, folder=folder), missing_choices(folder), workers, "sensitivity")
    write_manifest(folder)


def measure(choice: Alternative, folder: Path = FOLDER, slots: int = SLOTS, seeds: int = SEEDS) -> None:
    """Runs the rules over all points of Figs 4 to 6 under one choice, and stores the means over the slots."""
    made_by = provenance(settings_of(choice, slots, seeds))
    known: dict[tuple[Any, ...], dict[str, float]] = {}
    rows = []
    for panel, label, changes, agent in _points():
        for seed in range(seeds):
            key = (Scenario(**changes), agent, seed)
            if key not in known:
                known[key] = _one_point(choice, changes, agent, seed, slots)
            row = {"choice": choice.name, "panel": panel, "label": label, "agent": agent, "seed": seed}
            rows += [{**row, "metric": metric, "value": value} for metric, value in known[key].items()]
    write_table(path_of(choice, folder), pd.DataFrame(rows).astype({"value": "float32"}), made_by)


def settings_of(choice: Alternative, slots: int = SLOTS, seeds: int = SEEDS) -> dict[str, Any]:
    """Everything that the measurement of a choice depends on, ready for JSON."""
    return {
        "choice": choice.name,
        "changes": choice.changes,
        "refinement": choice.refinement,
        "slots": slots,
        "seeds": seeds,
    }


def _points() -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Panel, label, changes and agent of everything that is run."""
    for panel in (*COUNT_PANELS, *FIGURES["fig6"]):
        agents = RULES if panel in FIGURES["fig6"] else (STAND_IN,)
        for point in EXPERIMENTS[panel].points:
            for agent in agents:
                yield panel, point.label, point.changes, agent


def _one_point(
    choice: Alternative, changes: Mapping[str, Any], agent: str, seed: int, slots: int
) -> dict[str, float]:
    scenario = Scenario(**{**choice.changes, **changes})
    rule = make_agent(agent, scenario, refinement=Refinement(**choice.refinement))
    return averages(rollout(rule, PhysicalSystem(scenario, EVALUATION_WORLDS + seed), slots))


def stored_sensitivity(folder: Path = FOLDER) -> pd.DataFrame:
    """The verdict on each claim under every choice that is stored.

    Returns:
        Columns choice, claim, mean, low, high, seeds (the margin of the claim, see `mecsim.experiments.margins`) and
        verdict.

    Raises:
        FileNotFoundError: nothing is stored.
    """
    table = read_tables(folder)
    rows = []
    for choice in choices():
        part = table[table["choice"] == choice.name]
        if len(part):
            panels = {str(name): of_panel for name, of_panel in part.groupby("panel")}
            rows += [
                {"choice": choice.name, "claim": claim, **margin._asdict(), "verdict": verdict(margin)}
                for claim, margin in margins_of(panels, STAND_IN, RULES).items()
            ]
    return pd.DataFrame(rows)
