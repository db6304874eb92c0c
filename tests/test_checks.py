"""Every fault of every kind of stored result is found by the same code, and a result is computed again bit for bit."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from stored import put
from typer.testing import CliRunner

from mecsim.agents import AGENTS
from mecsim.experiments import calibration, checks, drawn, parallel, policies, runner, sensitivity, studies
from mecsim.experiments.calibration import Cell, cell_job
from mecsim.experiments.cli import app
from mecsim.experiments.panels import PRESETS, RunStore
from mecsim.experiments.runs import LEARNERS, Run, run_job
from mecsim.experiments.store import MANIFEST, NUMERICS, Store

TINY = {name: Run(agent=name, slots=0, evaluation_slots=3) for name in ("OLNPO", "LPWPO")}


def tiny_runs(folder: Path, monkeypatch) -> Store:
    return put(RunStore(folder / "runs"), map(run_job, TINY.values()))


def tiny_calibration(folder: Path, monkeypatch) -> Store:
    cells = [cell_job(Cell(0.03, 0.5, tau), slots=1, seeds=2) for tau in (3.0, 6.0)]
    monkeypatch.setattr(calibration, "cell_jobs", lambda: cells)
    return put(calibration.CalibrationStore(folder / "calibration"), cells)


def tiny_studies(folder: Path, monkeypatch) -> Store:
    small = replace(studies.STUDIES["guarantees"], sizes={"actions": 2}, seeds={"calibrated": 2})
    monkeypatch.setattr(studies, "STUDIES", {"guarantees": small})
    return put(studies.StudyStore(folder / "studies"), studies.study_jobs(["guarantees"]))


def tiny_sensitivity(folder: Path, monkeypatch) -> Store:
    monkeypatch.setattr(sensitivity.choice_job, "__defaults__", (1, 1))
    monkeypatch.setattr(sensitivity, "FIGURES", {"fig6": ("fig6b",)})
    two = sensitivity.choices()[:2]
    monkeypatch.setattr(sensitivity, "choices", lambda: two)
    return put(sensitivity.SensitivityStore(folder / "sensitivity"), map(sensitivity.choice_job, two))


def tiny_policies(folder: Path, monkeypatch) -> Store:
    small = {"slots": 1, "evaluation_slots": 1}
    runs = {
        "INTO": Run(agent="INTO", settings={"actor_hidden": [2], "critic_hidden": [2]}, **small),
        "DDQN": Run(agent="DDQN", settings={"hidden": [2]}, **small),
    }
    monkeypatch.setattr(policies, "POLICIES", runs)
    return put(policies.PolicyStore(folder / "policies"), map(policies.policy_job, runs))


def tiny_figures(folder: Path, monkeypatch) -> Store:
    monkeypatch.setattr(drawn, "FIGURES", {"fig3": drawn.FIGURES["fig3"]})
    store = drawn.FigureStore(folder / "figures")
    for kind in drawn.KINDS:
        store.write(drawn.figure_job(f"fig3.{kind}"), b"a figure")
    store.write_manifest()
    return store


KINDS = [tiny_runs, tiny_calibration, tiny_studies, tiny_sensitivity, tiny_policies, tiny_figures]


@pytest.fixture(params=KINDS, ids=lambda make: make.__name__)
def store(request, tmp_path, monkeypatch) -> Store:
    """Two files of one kind."""
    return request.param(tmp_path, monkeypatch)


def edit(store: Store, change) -> str:
    """Changes what the manifest says of the first file, and returns its name."""
    path = store.folder / MANIFEST
    manifest = json.loads(path.read_text())
    name = min(manifest)
    change(manifest[name])
    path.write_text(json.dumps(manifest))
    return name


def test_each_fault_is_found_in_each_kind(store) -> None:
    assert checks.faults_of(store) == []
    first, second = sorted(store.manifest())

    before = (store.folder / first).read_bytes()
    (store.folder / first).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert checks.faults_of(store) == [f"{store.folder}/{first} differs from its checksum in the manifest."]
    store.write_manifest()
    assert checks.faults_of(store) != [], "listing the files anew does not vouch for a damaged one"
    (store.folder / first).write_bytes(before)

    stranger = store.folder / f"fig-{first}"
    stranger.write_bytes(before)
    assert checks.faults_of(store) == [f"{store.folder}/{stranger.name} is not in the manifest."]
    stranger.unlink()

    edit(store, lambda entry: entry["run"].update(colour="blue"))
    (found,) = checks.faults_of(store)
    assert found.startswith(f"{store.folder}/{first} is stale (")
    assert f"delete it and run `{store.command}" in found
    edit(store, lambda entry: entry["run"].pop("colour"))

    edit(store, lambda entry: entry.update(numerics=NUMERICS - 1))
    (found,) = checks.faults_of(store)
    assert f"{first} is stale (numerics {NUMERICS - 1}, now {NUMERICS})" in found
    edit(store, lambda entry: entry.update(numerics=NUMERICS))

    (store.folder / second).unlink()
    assert checks.faults_of(store) == [f"{store.folder}/{second} is in the manifest but not there."]

    (store.folder / MANIFEST).write_text("{")
    (found,) = checks.faults_of(store)
    assert "_manifest.json is not readable" in found


def test_a_damaged_manifest_is_told_of_once_beside_the_other_faults(tmp_path, monkeypatch) -> None:
    runs, policies, drawn = (make(tmp_path, monkeypatch) for make in (tiny_runs, tiny_policies, tiny_figures))
    monkeypatch.setattr(checks, "stores", lambda: [runs, policies, drawn])
    monkeypatch.setattr(checks, "changed_defaults", list)
    (runs.folder / MANIFEST).write_text("{")
    (policies.folder / min(policies.manifest())).unlink()
    found = checks.problems()
    assert len([one for one in found if "_manifest.json is not readable" in one]) == 1
    assert len([one for one in found if "is in the manifest but not there" in one]) == 1


def test_what_lacks_is_said_with_the_command_that_computes_it(store) -> None:
    if isinstance(store, RunStore):
        command = "mecsim run fig3b --profile paper --preset printed"
        assert f"fig3b under printed: 120 of 120 are missing; run `{command}`." in checks.missing(store)
    else:
        assert checks.missing(store) == []
        (store.folder / min(store.manifest())).unlink()
        (found,) = checks.missing(store)
        assert ": 1 of 2 are missing; run `" + store.command in found


def test_a_preset_that_has_changed_makes_runs_stale(tmp_path, monkeypatch) -> None:
    store = tiny_runs(tmp_path, monkeypatch)
    monkeypatch.setitem(checks.studies.SCENARIOS, "calibrated", {"tau_s": 4.0})
    assert set(store.stale().values()) == {"its settings or its preset have changed"}


@pytest.fixture
def here(monkeypatch) -> None:
    """Computes in this process."""
    monkeypatch.setattr(parallel, "run_tasks", lambda work, tasks, *_: [work(task) for task in tasks])


def tamper(store: Store) -> Path:
    """Changes the least bit of one value of the first file, and lists the file as whole."""
    path = store.folder / min(store.manifest())
    table = pd.read_parquet(path)
    column = "value" if "metric" in table else "income"
    values = table[column].to_numpy().copy()
    values.view(f"u{values.itemsize}")[0] ^= 1
    path.write_bytes(store.encoded(table.assign(**{column: values}), store.about(path)))
    store.write_manifest(renewed={path.name})
    return path


@pytest.mark.usefixtures("here")
class TestComputedAgain:
    @pytest.mark.parametrize("make", KINDS[:-1])
    def test_stale_files_are_kept_as_up_to_date_where_every_value_is_the_same(
        self, make, tmp_path, monkeypatch
    ) -> None:
        store = make(tmp_path, monkeypatch)
        name = edit(store, lambda entry: entry.update(numerics=NUMERICS - 1, revision="long ago"))
        assert checks.restamp([store]) == ([store.label(name)], [])
        assert checks.faults_of(store) == []
        now = store.manifest()[name]["revision"]
        assert now == store.about(store.folder / name)["revision"] != "long ago"

    def test_a_file_that_is_deleted_and_computed_again_is_listed_anew(self, tmp_path, monkeypatch) -> None:
        store = tiny_calibration(tmp_path, monkeypatch)
        name = edit(store, lambda entry: entry.update(sha256="0"))
        (store.folder / name).unlink()
        runner.compute(store, store.missing(calibration.cell_jobs()), None, "cells")
        assert checks.faults_of(store) == []

    def test_a_stale_file_of_which_a_value_differs_stays_as_it_is(self, tmp_path, monkeypatch) -> None:
        store = tiny_calibration(tmp_path, monkeypatch)
        path = tamper(store)
        before = path.read_bytes()
        edit(store, lambda entry: entry.update(numerics=NUMERICS - 1))
        held, (found,) = checks.restamp([store])
        assert held == []
        assert found == f"{store.label(path.name)} is not what is computed now: 1 of 132 in income."
        assert path.read_bytes() == before
        assert len(store.stale()) == 1

    def test_a_stale_file_that_is_damaged_or_has_no_job_is_named(self, tmp_path, monkeypatch) -> None:
        store = tiny_runs(tmp_path, monkeypatch)
        first, second = sorted(store.manifest())
        edit(store, lambda entry: entry["run"].update(agent="Nobody"))
        manifest = store.manifest()
        manifest[second]["numerics"] = NUMERICS - 1
        (store.folder / MANIFEST).write_text(json.dumps(manifest))
        (store.folder / second).write_bytes(b"torn")
        held, failed = checks.restamp([store])
        assert held == []
        assert all(name in sentence for name, sentence in zip((first, second), failed, strict=True))

    def test_every_value_is_compared_bit_for_bit(self, tmp_path, monkeypatch) -> None:
        made = [make(tmp_path, monkeypatch) for make in KINDS]
        monkeypatch.setattr(checks, "stores", lambda: made)
        assert checks.recompute(checks.sample(100)) == []
        path = tamper(made[0])
        assert checks.recompute(checks.sample(100)) == [
            f"{path} is not what is computed now: 1 of 9 in value."
        ]

    def test_seconds_that_a_study_measured_are_not_compared(self, tmp_path) -> None:
        store = studies.StudyStore(tmp_path)
        for name, seconds in (("a", 1.0), ("b", 2.0)):
            rows = pd.DataFrame(
                {"metric": ["look-up 1 seconds", "look-up 1 income"], "value": [seconds, 7.0]}
            )
            (tmp_path / name).write_bytes(store.encoded(rows, {}))
        assert store.difference(tmp_path / "a", tmp_path / "b") == ""


def test_twenty_files_are_of_every_agent_preset_and_kind() -> None:
    drawn_files = checks.sample(20, seed=3)
    assert len({one.label for one in drawn_files}) == 20
    runs = [one.job.settings for one in drawn_files if isinstance(one.store, RunStore)]
    assert {run["agent"] for run in runs} == set(AGENTS)
    trained = {(run["agent"], run["preset"]) for run in runs}
    assert set(product(LEARNERS, PRESETS)) <= trained
    other = [one for one in drawn_files if not isinstance(one.store, RunStore)]
    assert {one.job.settings.get("study") for one in other} >= set(studies.STUDIES)
    assert len({type(one.store) for one in other}) >= 3


class TestCommand:
    @pytest.fixture
    def call(self):
        return lambda *words: CliRunner().invoke(app, ["check", *words])

    def test_names_every_problem_and_fails(self, call, monkeypatch) -> None:
        monkeypatch.setattr(checks, "problems", lambda: ["one file is damaged.", "two runs are missing."])
        done = call()
        assert (done.exit_code, done.stdout) == (1, "one file is damaged.\ntwo runs are missing.\n")
        monkeypatch.setattr(checks, "problems", list)
        assert call().stdout == "Every stored result is whole and up to date.\n"

    def test_says_what_was_computed_again(self, call, monkeypatch) -> None:
        told = []
        monkeypatch.setattr(checks, "recompute", lambda *words: told.append(words) or [])
        done = call("--recompute", "5", "--seed", "2", "--workers", "1")
        ((files, workers),) = told
        assert [one.label for one in files] == [one.label for one in checks.sample(5, 2)]
        assert workers == 1
        assert done.stdout.startswith("5 stored results were computed again: every value is the same.")
        monkeypatch.setattr(checks, "recompute", lambda *_: ["one differs."])
        assert (call("--recompute", "5").exit_code, call("--recompute", "5").stdout) == (1, "one differs.\n")

    def test_says_what_still_holds(self, call, monkeypatch) -> None:
        monkeypatch.setattr(checks, "restamp", lambda workers: (["data/a"], ["data/b differs."]))
        done = call("--restamp")
        assert done.exit_code == 1
        assert done.stdout == "data/a still holds: every value is the same.\ndata/b differs.\n"


def test_the_stored_results_are_whole_up_to_date_and_complete() -> None:
    assert checks.problems() == []
