"""What is read from stored runs: which seeds count, as what arrays, and what is computed for a notebook instead."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mecsim.experiments import checks
from mecsim.experiments import results as stored
from mecsim.experiments.claims import claims_table, rule_on
from mecsim.experiments.panels import EXPERIMENTS, PROFILES, Profile, RunStore, runs_of
from mecsim.experiments.results import MissingRuns, results, results_for, stored_seeds
from mecsim.experiments.runs import path_of
from mecsim.experiments.store import table_bytes, write_atomically
from mecsim.settings import SettingError

TINY = {"INTO": {"actor_hidden": (4, 4), "critic_hidden": (4, 4)}, "DDQN": {"hidden": (4, 4)}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a paper profile of three seeds, two of them under `printed`."""
    monkeypatch.setitem(PROFILES, "paper", Profile(3, 0, 1, tmp_path, TINY, {"printed": 2}))
    for name, experiment in EXPERIMENTS.items():
        monkeypatch.setitem(EXPERIMENTS, name, replace(experiment, decided={}))
    return tmp_path


def put(folder, *runs) -> None:
    """Stores runs with an income alone."""
    for run in runs:
        row = {"agent": run.agent, "seed": run.seed, "metric": "income", "slot": -1, "value": 1.0}
        write_atomically(path_of(run, folder), table_bytes(pd.DataFrame([row]), {}))


@pytest.mark.usefixtures("folder")
def test_missing_runs_are_named_with_what_computes_them():
    with pytest.raises(MissingRuns, match=r"0 of 3 seeds are stored.*mecsim run fig3a --profile paper"):
        results("fig3a")
    with pytest.raises(MissingRuns, match=r"0 of 2 seeds are stored for printed"):
        rule_on("C1", "printed")
    assert "| runs are missing | runs are missing |" in claims_table()


def test_a_seed_counts_once_all_its_runs_are_stored(folder):
    *runs, last = runs_of(["fig3b"], "paper")
    put(folder, *runs)
    assert stored_seeds("fig3b") == [0, 1]
    table = results("fig3b")
    assert set(table["seed"]) == {0, 1}
    assert table.groupby("label").size().to_dict() == {"0.99": 2, "0.79": 2, "0.59": 2}
    assert "fig3b under calibrated: 1 of 9 are missing" in " ".join(checks.missing(RunStore(folder)))
    put(folder, last)
    assert stored_seeds("fig3b") == [0, 1, 2]


def test_experiments_are_compared_over_the_seeds_that_all_have(folder):
    put(folder, *runs_of(["fig3b"], "paper"), *runs_of(["change"], "paper", seeds=2))
    tables = stored.shared(map(results, ("fig3b", "change")))
    assert [set(table["seed"]) for table in tables] == [{0, 1}, {0, 1}]


def test_a_preset_without_runs_is_left_out_and_none_at_all_is_an_error(folder):
    put(folder, *runs_of(["fig3b"], "paper"))
    assert list(stored.stored_tables(["fig3b"])) == ["calibrated"]
    with pytest.raises(MissingRuns, match="fig3b: 0 of 2 seeds are stored for printed"):
        stored.stored_tables(["fig3b"], ["printed"])


def test_curves_means_and_counts_are_one_row_a_seed():
    levels = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    metrics = {"training income": range(5), "income": [-1]}
    metrics |= {f"offloading BS-{bs}": [-1] for bs in (1, 2, 3)}
    rows = [
        (label, "INTO", seed, metric, slot, bs * of_seeds[seed])
        for label, of_seeds in levels.items()
        for seed in (0, 1)
        for bs, (metric, slots) in enumerate(metrics.items())
        for slot in slots
    ]
    table = pd.DataFrame(rows, columns=stored.COLUMNS)
    assert stored.curves(table)["b"].shape == (2, 5)
    assert stored.means(table)["b"].tolist() == [3.0, 4.0]
    assert stored.series(table).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert np.array_equal(stored.by_bs(table), np.multiply.outer([[1.0, 3.0], [2.0, 4.0]], [2, 3, 4]))


class TestOnDemand:
    @pytest.fixture(autouse=True)
    def profiles(self, tmp_path, monkeypatch):
        """Two seeds of four slots, one evaluated; what would be computed is stored with an income alone."""
        for name in ("paper", "quick"):
            monkeypatch.setitem(PROFILES, name, Profile(2, 4, 3, tmp_path / name, TINY))

        def run(panels, profile, preset, changes=None):
            put(PROFILES[profile].folder, *runs_of(panels, profile, preset, changes=changes))

        monkeypatch.setattr(stored, "run_experiments", run)

    def test_what_is_missing_is_computed_at_the_quick_scale(self):
        found = results_for(["fig3b"], ["printed"])
        assert found.profile == "quick"
        assert found.scale == "profile quick: 4 slots trained, 3 evaluated"
        assert found.tables["printed"]["fig3b"]["seed"].nunique() == 2
        assert not list(PROFILES["paper"].folder.glob("*"))

    def test_stored_results_are_taken_for_the_presets_that_have_them(self, monkeypatch):
        stored.run_experiments(["fig3b"], "paper", "printed")
        monkeypatch.setattr(stored, "run_experiments", None)  # nothing is computed
        found = results_for(["fig3b"], ["calibrated", "printed"])
        assert found.profile == "paper"
        assert list(found.tables) == ["printed"]

    def test_a_changed_scenario_is_computed_even_where_the_usual_one_is_stored(self):
        stored.run_experiments(["fig3b"], "paper", "calibrated")
        found = results_for(["fig3b"], ["calibrated"], {"tau_s": 5.0})
        assert found.profile == "quick"

    def test_a_change_that_is_not_allowed_is_refused_before_anything_runs(self, monkeypatch):
        monkeypatch.setattr(stored, "run_experiments", None)
        with pytest.raises(SettingError, match=r"Scenario\.tau_s = -1"):
            results_for(["fig3b"], ["calibrated"], {"tau_s": -1})
