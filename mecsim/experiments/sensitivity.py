"""How the verdicts hang on what the paper leaves open: those that agents without learning can show.

To train INTO at every point of Figs 4 to 6 under every alternative would take weeks. So all-on stands in for it, whose
counts INTO's are close to under the defaults, and C4 to C16 are judged by the same margins with the rules alone. What
the other claims look at is learning itself, or Algorithm 1 by itself.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from mecsim.agents import make_agent
from mecsim.experiments.claims import margins_of
from mecsim.experiments.panels import ALTERNATIVES, EXPERIMENTS, FIGURES, Point
from mecsim.experiments.runner import compute
from mecsim.experiments.runs import EVALUATION_WORLDS, averages
from mecsim.experiments.statistics import verdict
from mecsim.experiments.store import DATA, Job, Store, Wanted, read_tables
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
DEFAULT = Point("default", RULES)
COUNT_PANELS = FIGURES["fig4"] + FIGURES["fig5"]


def choices() -> list[Point]:
    """The defaults, and every alternative that can move what rules do."""
    return [DEFAULT, *(one for one in ALTERNATIVES if one.moves_rules)]


def choice_job(choice: Point, slots: int = SLOTS, seeds: int = SEEDS) -> Job:
    """The measurement of one choice."""
    settings = {
        "choice": choice.name,
        "changes": choice.changes,
        "refinement": choice.refinement,
        "slots": slots,
        "seeds": seeds,
        **({"settings": choice.settings} if choice.settings else {}),
    }
    name = re.sub("[^a-z0-9]+", "-", choice.name.lower()).strip("-")
    return Job(f"{name}.parquet", settings, partial(measure, choice, slots, seeds), 0.02 * slots * seeds)


class SensitivityStore(Store):
    """A folder of choices."""

    command = "mecsim sensitivity"

    def wanted(self) -> list[Wanted]:
        """The defaults and every alternative that can move what rules do."""
        jobs = [choice_job(choice) for choice in choices()]
        return [Wanted("the sensitivity of the verdicts", jobs, self.command)]


def measure_sensitivity(workers: int | None = None) -> None:
    """Measures every choice that is not stored yet, in `workers` processes; by default one a core."""
    store = SensitivityStore(FOLDER)
    compute(store, store.missing(choice_job(choice) for choice in choices()), workers, "sensitivity")


def measure(choice: Point, slots: int, seeds: int) -> pd.DataFrame:
    """Runs the rules over all points of Figs 4 to 6 under one choice: the means over the slots."""

    @cache  # panels share points
    def means(scenario: Scenario, agent: str, seed: int) -> dict[str, float]:
        own: dict[str, Any] = (
            {"settings": choice.settings} if choice.settings and agent in choice.agents else {}
        )
        rule = make_agent(agent, scenario, refinement=Refinement(**choice.refinement), **own)
        return averages(rollout(rule, PhysicalSystem(scenario, EVALUATION_WORLDS + seed), slots))

    rows = [
        (choice.name, panel, point.label, agent, seed, metric, value)
        for panel in (*COUNT_PANELS, *FIGURES["fig6"])
        for point in EXPERIMENTS[panel].points
        for agent in (RULES if panel in FIGURES["fig6"] else (STAND_IN,))
        for seed in range(seeds)
        for scenario in [Scenario(**{**choice.changes, **point.changes})]
        for metric, value in means(scenario, agent, seed).items()  # pyright: ignore[reportArgumentType]  # pydantic's stubs hide the hash of a record
    ]
    columns = ["choice", "panel", "label", "agent", "seed", "metric", "value"]
    return pd.DataFrame(rows, columns=columns).astype({"value": "float32"})


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
            panels = {str(name): of_panel for name, of_panel in pd.DataFrame(part).groupby("panel")}
            rows += [
                {"choice": choice.name, "claim": claim, **margin._asdict(), "verdict": verdict(margin)}
                for claim, margin in margins_of(panels, STAND_IN, RULES).items()
            ]
    return pd.DataFrame(rows)
