"""How the verdicts hang on the open points: what is measured under each choice, and what the margins are made of."""

import numpy as np
import pandas as pd
import pytest
from stored import put

from mecsim.agents import make_agent
from mecsim.experiments import sensitivity
from mecsim.experiments.claims import margins_of
from mecsim.experiments.panels import ALTERNATIVES, EXPERIMENTS
from mecsim.experiments.runs import EVALUATION_WORLDS
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

LATE = next(one for one in ALTERNATIVES if one.assumption == "A27")
LINE = next(one for one in ALTERNATIVES if one.label == "BSs in a line")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    store = sensitivity.SensitivityStore(tmp_path_factory.mktemp("sensitivity"))
    jobs = [sensitivity.choice_job(choice, slots=3, seeds=2) for choice in (sensitivity.DEFAULT, LATE, LINE)]
    return put(store, jobs).folder


def stored(folder, choice) -> pd.DataFrame:
    return pd.read_parquet(folder / sensitivity.choice_job(choice).name)


@pytest.mark.parametrize("choice", [sensitivity.DEFAULT, LATE, LINE], ids=lambda choice: choice.label)
@pytest.mark.parametrize(("panel", "agent"), [("fig4a", "all-on"), ("fig6b", "OLNPO"), ("fig6d", "LPWPO")])
def test_what_is_stored_is_what_the_rule_does_at_the_point_under_the_choice(folder, choice, panel, agent):
    point = EXPERIMENTS[panel].points[-1]
    scenario = Scenario(**choice.changes, **point.changes)
    rule = make_agent(agent, scenario, refinement=Refinement(**choice.refinement))
    record = rollout(rule, PhysicalSystem(scenario, EVALUATION_WORLDS + 1), 3)
    where = {"panel": panel, "label": point.label, "agent": agent, "seed": 1}
    table = stored(folder, choice).set_index([*where, "metric"]).sort_index()
    rows = table["value"].loc[tuple(where.values())]
    assert rows["income"] == pytest.approx(record.income.mean())
    assert rows["offloading BS-3"] == pytest.approx(record.offloading[:, 2].mean())
    assert rows["idle CPU BS-1"] == pytest.approx(record.idle_cpu[:, 0].mean())


def test_choices_have_files_of_their_own_and_only_those_that_rules_can_tell():
    chosen = sensitivity.choices()
    assert chosen[0].name == "default"
    assert len({sensitivity.choice_job(choice).name for choice in chosen}) == len(chosen) > 20
    assert not {"A11", "A12", "A13", "A25"} & {choice.assumption for choice in chosen}


def test_settings_go_to_the_rule_that_they_are_of():
    savable = next(one for one in ALTERNATIVES if one.assumption == "A41")
    crowded = {"interference": 1.0, "initial_energy_j": 1.0}
    usual, other = (
        sensitivity.measure(choice.replace(changes=crowded), 1, 1)
        for choice in (sensitivity.DEFAULT, savable)
    )
    assert set(usual.loc[usual["value"] != other["value"], "agent"]) == {"LPWPO"}
    assert sensitivity.choice_job(savable).settings["settings"] == {"overload": "savable tasks"}
    assert "settings" not in sensitivity.choice_job(sensitivity.DEFAULT).settings


def test_the_table_has_a_verdict_on_c4_to_c16_under_every_stored_choice(folder):
    table = sensitivity.stored_sensitivity(folder)
    claims = {f"C{number}" for number in range(4, 17)}
    assert {name: set(of_choice["claim"]) for name, of_choice in table.groupby("choice")} == {
        choice.name: claims for choice in (sensitivity.DEFAULT, LATE, LINE)
    }
    assert (table["seeds"] == 2).all()


def test_nothing_stored_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no results"):
        sensitivity.stored_sensitivity(tmp_path)


def panels(income: dict[str, float], idle: float, counts: tuple[float, ...]) -> dict[str, pd.DataFrame]:
    """Tables in which incomes rise (fall in fig6a) from what is given, all-on idles, and nothing else moves."""
    rows = [
        (panel, point.label, agent, seed, metric, value + 0.001 * seed)
        for panel in (*sensitivity.COUNT_PANELS, "fig6a", "fig6b", "fig6c", "fig6d")
        for place, point in enumerate(EXPERIMENTS[panel].points)
        for agent in sensitivity.RULES
        for seed in range(3)
        for metric, value in (
            ("income", income[agent] + (-place if panel == "fig6a" else place)),
            *((f"idle CPU BS-{bs}", idle if agent == "all-on" else 0.2) for bs in (1, 2, 3)),
            *((f"offloading BS-{bs}", counts[bs - 1]) for bs in (1, 2, 3)),
        )
    ]
    table = pd.DataFrame(rows, columns=["panel", "label", "agent", "seed", "metric", "value"])
    return {str(name): part for name, part in table.groupby("panel")}


def test_all_on_takes_the_place_of_into():
    def margins(incomes: tuple[float, ...], idle: float, counts: tuple[float, ...]):
        made_up = panels(dict(zip(sensitivity.RULES, incomes, strict=True)), idle, counts)
        return margins_of(made_up, sensitivity.STAND_IN, sensitivity.RULES)

    better = margins((110.0, 100.0, 90.0), idle=0.1, counts=(1.0, 2.0, 3.0))
    assert min(better[claim].low for claim in ("C5", "C11", "C12", "C13", "C14", "C15", "C16")) > 0
    assert better["C16"].mean == pytest.approx(0.1)
    worse = margins((90.0, 100.0, 110.0), idle=0.3, counts=(3.0, 2.0, 1.0))
    assert max(worse[claim].high for claim in ("C5", "C15", "C16")) < 0
    assert np.isfinite([margin.mean for margin in worse.values()]).all()
