"""The rules that turn stored runs into verdicts come out each of the three ways on synthetic data."""

import numpy as np
import pandas as pd
import pytest

from mecsim.experiments import checks, claims, store
from mecsim.experiments.provenance import NUMERICS, provenance, write_manifest
from mecsim.experiments.results import MissingRuns, curves, means, results
from mecsim.experiments.runs import Run
from mecsim.scenario import PRESETS

RATES = ("0.0001", "0.001", "0.01")


def synthetic(levels: dict[str, np.ndarray], converged: dict[str, int]) -> pd.DataFrame:
    """A table as `results` gives it: curves that reach their level at a slot, and frozen incomes at that level."""
    rows = []
    for label, level in levels.items():
        for seed, height in enumerate(level):
            ramp = np.minimum(np.arange(2000) / max(converged[label], 1), 1.0)
            curve = height * (0.5 + 0.5 * ramp)
            rows += [
                (label, "INTO", seed, "training income", slot, value) for slot, value in enumerate(curve)
            ]
            rows.append((label, "INTO", seed, "income", -1, height))
    return pd.DataFrame(rows, columns=["label", "agent", "seed", "metric", "slot", "value"])


@pytest.fixture
def stored(monkeypatch):
    def put(levels, converged=None):
        levels = {rate: np.asarray(level, float) for rate, level in zip(RATES, levels, strict=True)}
        table = synthetic(levels, converged or dict.fromkeys(RATES, 500))
        monkeypatch.setattr(claims, "results", lambda name, preset: table)

    return put


FALLING = ([30.0, 31.0, 32.0], [20.0, 21.0, 22.5], [10.0, 11.0, 12.0])
TANGLED = ([30.0, 21.0, 32.0], [20.0, 31.0, 22.5], [10.0, 11.0, 12.0])


@pytest.mark.parametrize("reading", ["frozen", "training"])
@pytest.mark.parametrize("claim", ["C1", "C3"])
@pytest.mark.parametrize(
    ("levels", "expected"),
    [(FALLING, "reproduced"), (FALLING[::-1], "not reproduced"), (TANGLED, "inconclusive")],
)
def test_income_orders(stored, claim, levels, expected, reading):
    stored(levels)
    ruling = claims.rule_on(claim, reading=reading)
    assert ruling.verdict == expected
    assert ruling.low <= ruling.effect <= ruling.high
    assert ruling.seeds == 3


def test_one_wrong_gap_of_two_is_enough_to_fail(stored):
    stored((FALLING[1], FALLING[0], FALLING[2]))
    assert claims.rule_on("C1").verdict == "not reproduced"


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        ((1500, 1000, 600), "reproduced"),
        ((600, 1000, 1500), "not reproduced"),
        ((900, 900, 300), "not reproduced"),
    ],
)
def test_convergence_orders(stored, slots, expected):
    stored(FALLING, dict(zip(RATES, slots, strict=True)))
    assert claims.rule_on("C2").verdict == expected


def test_a_curve_converges_where_it_stays_within_the_band():
    flat = np.full(1000, 100.0)
    assert claims.converged_at(flat) == 0
    late = np.concatenate([np.full(500, 50.0), np.full(500, 100.0)])
    assert (
        500 < claims.converged_at(late) <= 600
    )  # within 2 % once the window of 100 holds less than 4 old slots
    assert claims.converged_at(np.stack([flat, late])).shape == (2,)


def test_missing_runs_are_named_with_what_computes_them(tmp_path, monkeypatch):
    monkeypatch.setitem(checks.PROFILES, "paper", checks.PROFILES["paper"].__class__(2, 5, 5, tmp_path))
    with pytest.raises(
        MissingRuns, match=r"fig3a: 6 of 6 runs are not stored.*mecsim run fig3a --profile paper"
    ):
        results("fig3a")


def test_curves_and_means_are_one_row_a_seed():
    table = synthetic({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}, {"a": 10, "b": 10})
    assert curves(table)["b"].shape == (2, 2000)
    assert means(table)["b"].tolist() == [3.0, 4.0]


def put_run(folder, run):
    store.write_table(
        folder / f"{run.key}.parquet", pd.DataFrame({"value": [1.0]}), provenance(run.model_dump())
    )


def test_a_damaged_unknown_or_lost_file_is_named(tmp_path):
    runs = [Run(agent="OLNPO", slots=0, seed=seed) for seed in range(3)]
    for run in runs:
        put_run(tmp_path, run)
    write_manifest(tmp_path)
    assert checks.damaged(tmp_path) == []
    changed, lost = (tmp_path / f"{run.key}.parquet" for run in runs[:2])
    changed.write_bytes(changed.read_bytes() + b" ")
    lost.unlink()
    put_run(tmp_path, Run(agent="OLNPO", slots=0, seed=9))
    text = "\n".join(checks.damaged(tmp_path))
    assert f"{changed.name} differs from its checksum" in text
    assert f"{lost.name} is in the manifest but not there" in text
    assert "seed9" in text
    assert "is not in the manifest" in text


def test_stale_runs_are_named_with_why(tmp_path, monkeypatch):
    put_run(tmp_path, Run(agent="OLNPO", slots=0))
    write_manifest(tmp_path)
    assert checks.stale(tmp_path) == []
    monkeypatch.setattr("mecsim.experiments.runs.NUMERICS", 99)
    monkeypatch.setattr("mecsim.experiments.checks.NUMERICS", 99)
    assert f"stale (numerics {NUMERICS}, now 99)" in checks.stale(tmp_path)[0]


def test_a_changed_preset_makes_runs_stale(tmp_path, monkeypatch):
    put_run(tmp_path, Run(agent="OLNPO", slots=0))
    write_manifest(tmp_path)
    monkeypatch.setitem(PRESETS, "calibrated", {"tau_s": 4.0})
    assert "its preset has changed" in checks.stale(tmp_path)[0]


def test_the_stored_results_are_whole_complete_and_up_to_date():
    assert checks.problems() == []


def test_the_readme_says_what_the_runs_say():
    assert claims.claims_table() in (store.ROOT / "README.md").read_text()
