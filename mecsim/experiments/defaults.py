"""The defaults that the key of a run takes for granted, and whether they are still those of the stored runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mecsim.agents import agent_class
from mecsim.experiments import store
from mecsim.experiments.provenance import NUMERICS
from mecsim.experiments.runs import LEARNERS
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.twin import Deviation

DEFAULTS = store.DATA / "defaults.json"


def defaults() -> dict[str, dict[str, Any]]:
    """Every default by record and field, ready for JSON."""
    records = {"Scenario": Scenario, "Refinement": Refinement, "Deviation": Deviation}
    records |= {f"{name}Settings": agent_class(name).Settings for name in LEARNERS}
    return {name: record().model_dump(mode="json") for name, record in records.items()}


def record_defaults(path: Path = DEFAULTS) -> None:
    """Writes down the defaults of these numerics; those already written down stay as they are."""
    now, before = defaults(), _recorded(path)
    kept = {name: {**fields, **before.get(name, {})} for name, fields in now.items()}
    text = json.dumps({"numerics": NUMERICS, "defaults": kept}, indent=1) + "\n"
    if not path.exists() or path.read_text() != text:
        store.write_atomically(path, text.encode())


def changed_defaults(path: Path = DEFAULTS) -> list[str]:
    """One sentence for every default that is not what it was when runs of these numerics were stored."""
    now = defaults()
    return [
        f"the default of {name}.{field} was {value!r} when data/runs was made and is {now[name].get(field)!r} now; "
        "raise NUMERICS."
        for name, fields in _recorded(path).items()
        for field, value in fields.items()
        if now[name].get(field) != value
    ]


def _recorded(path: Path) -> dict[str, dict[str, Any]]:
    """The defaults written down for these numerics."""
    if not path.exists():
        return {}
    written = json.loads(path.read_text())
    return written["defaults"] if written["numerics"] == NUMERICS else {}
