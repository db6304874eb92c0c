"""The register of open points: every switch has a measured alternative, and the table says what was measured."""

import re

import pandas as pd
import pytest

from mecsim.agents import agent_class
from mecsim.experiments import register
from mecsim.experiments.panels import ALTERNATIVES
from mecsim.experiments.results import COLUMNS, MissingRuns
from mecsim.experiments.runs import Evaluation
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario

RECORDS = {
    "Scenario": Scenario,
    "Refinement": Refinement,
    "Evaluation": Evaluation,
    "INTOSettings": agent_class("INTO").Settings,
    "DDQNSettings": agent_class("DDQN").Settings,
    "LPWPOSettings": agent_class("LPWPO").Settings,
}
ONE = next(one for one in ALTERNATIVES if one.assumption == "A27")
OF_DDQN = next(one for one in ALTERNATIVES if one.agents == ("DDQN",))


def switches() -> dict[str, str]:
    """The ids whose setting is a field of a record."""
    settings = register.register().set_index("id")["setting"]
    return settings[settings.str.match(rf"`({'|'.join(RECORDS)})")].to_dict()


def test_the_register_has_no_gap_between_a1_and_the_last_and_no_empty_cell():
    table = register.register()
    assert table["id"].tolist() == [f"A{number}" for number in range(1, len(table) + 1)]
    assert len(table) >= 32
    assert table.map(len).gt(0).all(axis=None)


def test_every_switch_has_a_measured_alternative_and_the_other_way_round():
    assert {one.assumption for one in ALTERNATIVES} == set(switches())


def test_what_has_no_switch_is_measured_otherwise_or_says_why_not():
    told = re.findall(
        r"^\| (A\d+) \| [^|]+ \|$", register.REGISTER.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert told == [name for name in register.register()["id"] if name not in switches()]


def test_the_register_says_what_was_measured():
    assert register.effects_table() in register.REGISTER.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "setting"), switches().items())
def test_an_alternative_turns_the_switch_that_the_register_names(name, setting):
    record, fields = RECORDS[re.match(r"`(\w+)", setting)[1]], re.findall(r"(\w+)`", setting)
    named = {field for field in fields if field in record.model_fields}
    assert named
    of_name = [one for one in ALTERNATIVES if one.assumption == name]
    turned = {
        field for one in of_name for field in (*one.changes, *one.refinement, *one.settings, *one.evaluation)
    }
    assert named <= turned
    assert turned <= set(record.model_fields)


def test_a_register_that_was_broken_is_said(tmp_path):
    path = tmp_path / "ASSUMPTIONS.md"
    path.write_text("| A1 | lost | its columns |\n")
    with pytest.raises(ValueError, match=r"ASSUMPTIONS\.md has no table with the columns id, open point"):
        register.register(path)


@pytest.fixture
def measured(monkeypatch):
    """Made-up incomes in which one choice earns half as much again and each other a tenth less, and verdicts."""
    incomes = [("default", agent, 100.0) for agent in ("INTO", "DDQN", "LPWPO")]
    incomes += [(one.name, one.agents[0], 150.0 if one is ONE else 90.0) for one in ALTERNATIVES]
    rows = [(*income[:2], seed, "income", -1, income[2]) for income in incomes for seed in range(3)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    verdicts = [("default", "C4", "reproduced"), ("default", "C5", "inconclusive")]
    verdicts += [(ONE.name, "C4", "not reproduced"), (ONE.name, "C5", "inconclusive")]
    ruled = pd.DataFrame(verdicts, columns=["choice", "claim", "verdict"])
    monkeypatch.setattr(register, "results", lambda name: table)
    monkeypatch.setattr(register, "stored_sensitivity", lambda: ruled)
    return table


def test_the_table_says_what_every_alternative_changes(measured):
    lines = dict(line.strip("|").split("|", 1) for line in register.effects_table().splitlines()[2:])
    assert len(lines) == len(ALTERNATIVES)
    assert lines[f" {ONE.name} "] == " +50.0 % [+50.0, +50.0], 3 seeds | C4 not reproduced "
    assert lines[f" {OF_DDQN.name} "] == " DDQN: -10.0 % [-10.0, -10.0], 3 seeds | needs trainings "


def test_runs_that_are_not_there_are_said(measured, monkeypatch):
    def nothing(name):
        raise MissingRuns("none")

    monkeypatch.setattr(register, "results", nothing)
    assert f"| {ONE.name} | not computed yet | C4 not reproduced |" in register.effects_table()
