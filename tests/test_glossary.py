"""GLOSSARY.md says what the code says: its names exist, and symbols, units and equations are those of the package."""

import inspect
import re
from typing import NamedTuple

import pytest

from mecsim import Scenario, physics
from mecsim.agents.into import INTOSettings
from mecsim.experiments.store import ROOT
from mecsim.refinement import ProtoAction
from mecsim.system import Action, Outcome, SystemState

RECORDS = (Scenario, SystemState, Action, Outcome, INTOSettings, ProtoAction)
HOMES = {"physics": physics, **{record.__name__: record for record in RECORDS}}
TABLE_I = "N U_i p Q^E e z v delta g h mathcal{G} B nu d^w C F_i x y f"


class Row(NamedTuple):
    symbol: str
    meaning: str
    unit: str
    names: list[str]
    where: str


def row(line: str) -> Row:
    """A line of the table, with the symbol as `Scenario.table` writes it."""
    symbol, meaning, unit, names, where = (part.strip() for part in line.strip("|").split("|"))
    symbol = symbol.replace("$", "").replace("\\", "")
    return Row(symbol, meaning, unit, re.findall(r"`([^`]+)`", names), where)


TEXT = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
ROWS = [row(line) for line in TEXT.splitlines() if line.startswith("| $")]


def known(name: str) -> bool:
    home, _, member = name.partition(".")
    owner = HOMES[home]
    declared = {**getattr(owner, "model_fields", {}), **getattr(owner, "__dataclass_fields__", {})}
    return not member or hasattr(owner, member) or member in declared


def test_symbols_are_named_once_and_all_of_table_1_is_there() -> None:
    symbols = [entry.symbol for entry in ROWS]
    assert len(symbols) == len(set(symbols))
    assert set(symbols) >= set(TABLE_I.split())


@pytest.mark.parametrize("entry", ROWS, ids=lambda entry: entry.symbol)
def test_the_names_exist(entry: Row) -> None:
    assert entry.names
    assert [name for name in entry.names if not known(name)] == []


@pytest.mark.parametrize(
    "parameter", [entry for entry in Scenario().table() if entry.symbol], ids=lambda entry: entry.name
)
def test_symbol_and_unit_are_those_of_the_scenario(parameter) -> None:
    (entry,) = [entry for entry in ROWS if f"Scenario.{parameter.name}" in entry.names]
    assert (entry.symbol, entry.unit) == (parameter.symbol, parameter.unit)


@pytest.mark.parametrize("entry", [entry for entry in ROWS if entry.names[0].startswith("physics.")])
def test_the_equation_is_the_one_that_the_function_cites(entry: Row) -> None:
    function = getattr(physics, entry.names[0].removeprefix("physics."))
    assert entry.where in inspect.getdoc(function)
    assert f", in {entry.unit}" in inspect.getdoc(function) or entry.unit == "1"


def test_the_unit_is_the_suffix_of_the_name() -> None:
    units = {"s": "s", "j": "J", "w": "W", "hz": "Hz", "bps": "bit/s", "bits": "bit"}
    for entry in ROWS:
        suffix = entry.names[0].rsplit("_", 1)[-1]
        if "_per_" not in entry.names[0] and suffix in units:
            assert entry.unit == units[suffix], entry.symbol


def test_every_preset_and_agent_is_a_term() -> None:
    from mecsim.agents import AGENTS
    from mecsim.scenario import PRESETS

    terms = TEXT.partition("## Terms")[2].lower()
    assert [name for name in (*AGENTS, *PRESETS) if name.lower() not in terms] == []
