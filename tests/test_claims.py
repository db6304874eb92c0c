"""The rules that turn stored runs into verdicts come out each of the three ways on synthetic data."""

import numpy as np
import pandas as pd
import pytest
from stored import put_run

from mecsim.experiments import claims, evidence, store
from mecsim.experiments.margins import converged_at
from mecsim.experiments.panels import PROFILES, runs_of
from mecsim.experiments.results import (
    MissingRuns,
    by_bs,
    curves,
    means,
    results,
    series,
    stored_seeds,
    together,
)

RATES = ("0.0001", "0.001", "0.01")
PLACES = ("1", "2", "3", "4")


def synthetic(levels: dict[str, np.ndarray], converged: dict[str, int | list[int]]) -> pd.DataFrame:
    """A table as `results` gives it: curves that reach their level at a slot (of all or of each), frozen incomes."""
    rows = []
    for label, level in levels.items():
        slots = np.broadcast_to(converged[label], len(level))
        for seed, height in enumerate(level):
            ramp = np.minimum(np.arange(2000) / max(slots[seed], 1), 1.0)
            curve = height * (0.5 + 0.5 * ramp)
            rows += [
                (label, "INTO", seed, "training income", slot, value) for slot, value in enumerate(curve)
            ]
            rows.append((label, "INTO", seed, "income", -1, height))
    return pd.DataFrame(rows, columns=["label", "agent", "seed", "metric", "slot", "value"])


def panel(metrics: dict[tuple[str, str], np.ndarray], labels: tuple[str, ...] = PLACES) -> pd.DataFrame:
    """A table of means as `results` gives it, from arrays (seeds, points) by agent and metric."""
    rows = [
        (label, agent, seed, metric, -1, value)
        for (agent, metric), of_seeds in metrics.items()
        for seed, of_points in enumerate(of_seeds)
        for label, value in zip(labels, of_points, strict=True)
    ]
    return pd.DataFrame(rows, columns=["label", "agent", "seed", "metric", "slot", "value"])


def around(levels: list[float], spread: float = 0.1) -> np.ndarray:
    """Three seeds that scatter around a level at each point, (3, points)."""
    return np.asarray(levels) + spread * np.array([[-1.0], [0.2], [0.8]])


@pytest.fixture
def stored(monkeypatch):
    """Puts one table in the place of every stored experiment."""

    def put(table):
        monkeypatch.setattr(evidence, "results", lambda name, preset: table)
        monkeypatch.setattr(evidence, "together", lambda names, preset: dict.fromkeys(names, table))

    return put


def three_rates(levels, converged=None) -> pd.DataFrame:
    levels = {rate: np.asarray(level, float) for rate, level in zip(RATES, levels, strict=True)}
    return synthetic(levels, converged or dict.fromkeys(RATES, 500))


FALLING = ([30.0, 31.0, 32.0], [20.0, 21.0, 22.5], [10.0, 11.0, 12.0])
TANGLED = ([30.0, 21.0, 32.0], [20.0, 31.0, 22.5], [10.0, 11.0, 12.0])


@pytest.mark.parametrize("reading", ["frozen", "training"])
@pytest.mark.parametrize("claim", ["C1", "C3"])
@pytest.mark.parametrize(
    ("levels", "expected"),
    [(FALLING, "reproduced"), (FALLING[::-1], "not reproduced"), (TANGLED, "inconclusive")],
)
def test_income_orders(stored, claim, levels, expected, reading):
    stored(three_rates(levels))
    ruling = claims.rule_on(claim, reading=reading)
    assert ruling.verdict == expected
    assert ruling.low <= ruling.effect <= ruling.high
    assert ruling.seeds == 3


def test_one_wrong_gap_of_two_is_enough_to_fail(stored):
    stored(three_rates((FALLING[1], FALLING[0], FALLING[2])))
    assert claims.rule_on("C1").verdict == "not reproduced"


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        ((1500, 1000, 600), "reproduced"),
        ((600, 1000, 1500), "not reproduced"),
        ((900, 900, 300), "not reproduced"),
        (([1500, 900, 300], [300, 1500, 900], 200), "inconclusive"),
    ],
)
def test_convergence_orders(stored, slots, expected):
    stored(three_rates(FALLING, dict(zip(RATES, slots, strict=True))))
    assert claims.rule_on("C2").verdict == expected


def test_a_curve_converges_where_it_stays_within_the_band():
    flat = np.full(1000, 100.0)
    assert converged_at(flat) == 0
    late = np.concatenate([np.full(500, 50.0), np.full(500, 100.0)])
    assert 500 < converged_at(late) <= 600  # within 2 % once the window of 100 holds less than 4 old slots
    assert converged_at(np.stack([flat, late])).shape == (2,)


RISE, FALL, STEADY = [10.0, 12.0, 14.0, 16.0], [20.0, 18.0, 16.0, 14.0], [20.0, 20.0, 20.0, 20.0]
SATURATING = [10.0, 14.0, 15.9, 16.0]


def of_bs(first: list[float], second: list[float], third: list[float], spread: float = 0.1) -> pd.DataFrame:
    levels = dict(enumerate((first, second, third), start=1))
    return panel({("INTO", f"offloading BS-{bs}"): around(level, spread) for bs, level in levels.items()})


@pytest.mark.parametrize(
    ("claim", "good", "bad"),
    [
        ("C4", (RISE, FALL, FALL), (FALL, FALL, FALL)),
        ("C5", (RISE, STEADY, [30.0] * 4), (STEADY, RISE, [30.0] * 4)),
        ("C6", (RISE, FALL, FALL), (RISE, RISE, FALL)),
        ("C7", (RISE, RISE, RISE), (RISE, FALL, RISE)),
        ("C8", (SATURATING, SATURATING, SATURATING), (RISE, RISE, RISE)),
        ("C9", (RISE, RISE, RISE), (RISE, RISE, FALL)),
        ("C10", (SATURATING, SATURATING, SATURATING), (RISE, RISE, RISE)),
    ],
)
def test_counts_follow_a_sweep(stored, claim, good, bad):
    stored(of_bs(*good))
    assert claims.rule_on(claim).verdict == "reproduced"
    stored(of_bs(*bad))
    assert claims.rule_on(claim).verdict == "not reproduced"
    stored(pd.concat([of_bs(*good), of_bs(*bad).assign(seed=lambda table: table["seed"] + 3)]))
    assert claims.rule_on(claim).verdict == "inconclusive"


def incomes(**levels: np.ndarray) -> pd.DataFrame:
    return panel({(agent, "income"): of_seeds for agent, of_seeds in levels.items()})


@pytest.mark.parametrize(
    ("claim", "good", "bad"), [("C11", FALL, RISE)] + [(f"C{n}", RISE, FALL) for n in (12, 13, 14)]
)
def test_every_algorithm_s_income_moves_as_the_paper_says(stored, claim, good, bad):
    others = dict.fromkeys(("INTO", "LPWPO", "OLNPO"), around(good))
    stored(incomes(**others, DDQN=around(good)))
    assert claims.rule_on(claim).verdict == "reproduced"
    stored(incomes(**others, DDQN=around(bad)))
    assert claims.rule_on(claim).verdict == "not reproduced"
    stored(incomes(**others, DDQN=np.array([RISE, FALL, STEADY])))
    assert claims.rule_on(claim).verdict == "inconclusive"


def test_into_must_earn_more_than_each_other_at_every_point(stored):
    into = around([20.0, 20.0, 20.0, 20.0])
    below = dict.fromkeys(("LPWPO", "OLNPO"), into - 1.0)
    stored(incomes(INTO=into, **below, DDQN=into - 2.0))
    ruling = claims.rule_on("C15")
    assert ruling.verdict == "reproduced"
    assert ruling.effect == pytest.approx(np.mean(into[:, 0] / (into[:, 0] - 1.0)) - 1.0)
    stored(incomes(INTO=into, **below, DDQN=into + np.array([-2.0, -2.0, 0.5, -2.0])))
    assert claims.rule_on("C15").verdict == "not reproduced"
    stored(incomes(INTO=into, **below, DDQN=into + np.array([[-2.0], [2.0], [-1.0]])))
    assert claims.rule_on("C15").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("alone", "expected"),
    [(0.2, "reproduced"), (0.05, "not reproduced"), (np.array([[0.0], [0.3], [0.05]]), "inconclusive")],
)
def test_olnpo_must_leave_more_cpu_idle(stored, alone, expected):
    together = around([0.1, 0.1, 0.1, 0.1], 0.001)
    idle = np.broadcast_to(alone + 0.001 * np.arange(3.0)[:, None], (3, 4))
    stored(
        panel(
            {
                (agent, f"idle CPU BS-{bs}"): share
                for bs in (1, 2, 3)
                for agent, share in (("INTO", together), ("OLNPO", idle))
            }
        )
    )
    assert claims.rule_on("C16").verdict == expected


@pytest.mark.parametrize(
    ("ddqn", "expected"),
    [
        (around([10.0, 9.5, 9.0, 8.5]), "reproduced"),
        (around([10.0, 9.9, 9.8, 10.5]), "not reproduced"),
        (around([9.0, 9.0, 9.0, 9.3], 0.01), "not reproduced"),
        (np.array([[10.0, 10.0, 10.0, 9.0], [9.0, 9.0, 9.0, 9.5], [9.0, 9.0, 9.0, 8.0]]), "inconclusive"),
    ],
    ids=["falls behind", "ahead in the end", "behind, but catching up", "unclear"],
)
def test_ddqn_must_fall_behind_as_devices_are_added(stored, ddqn, expected):
    stored(incomes(INTO=np.full((3, 4), 10.0) + around([0.0] * 4, 0.01), DDQN=ddqn))
    assert claims.rule_on("C17").verdict == expected


@pytest.mark.parametrize(
    ("devices_after", "trained_income", "expected"),
    [
        (14.0, 12.0, "reproduced"),
        (9.0, 12.0, "not reproduced"),
        (14.0, 9.5, "not reproduced"),
        (14.0, np.array([9.0, 12.0, 10.5]), "inconclusive"),
    ],
    ids=["adapts", "fewer devices", "training on costs income", "unclear"],
)
def test_into_must_follow_a_change(stored, devices_after, trained_income, expected):
    labels = ("before", "after, not trained further", "after, trained further")
    scatter = np.array([0.0, 0.02, 0.05])
    devices = np.stack([10.0 + scatter, 12.0 + scatter, devices_after + scatter], axis=1)
    income = np.stack([8.0 + scatter, 10.0 + scatter, trained_income + scatter], axis=1)
    stored(panel({("INTO", "offloading BS-1"): devices, ("INTO", "income"): income}, labels))
    assert claims.rule_on("C19").verdict == expected


def test_there_is_a_rule_for_each_of_the_twenty_claims():
    assert list(claims.CLAIMS) == [f"C{number}" for number in range(1, 21)]


def small_profile(monkeypatch, folder):
    sizes = {"INTO": {"actor_hidden": (4, 4), "critic_hidden": (4, 4)}, "DDQN": {"hidden": (4, 4)}}
    monkeypatch.setitem(
        PROFILES, "paper", PROFILES["paper"].__class__(3, 0, 1, folder, sizes, {"printed": 2})
    )


def test_missing_runs_are_named_with_what_computes_them(tmp_path, monkeypatch):
    small_profile(monkeypatch, tmp_path)
    with pytest.raises(MissingRuns, match=r"0 of 3 seeds are stored.*mecsim run fig3a --profile paper"):
        results("fig3a")
    with pytest.raises(MissingRuns, match=r"0 of 2 seeds are stored for printed"):
        claims.rule_on("C1", "printed")
    assert "| runs are missing | runs are missing |" in claims.claims_table()


def test_a_seed_counts_once_all_its_runs_are_stored(tmp_path, monkeypatch):
    small_profile(monkeypatch, tmp_path)
    runs = runs_of(["fig3b"], "paper")
    for run in runs[:-1]:
        put_run(run, tmp_path)
    assert stored_seeds("fig3b") == [0, 1]
    table = results("fig3b")
    assert set(table["seed"]) == {0, 1}
    assert table.query("metric == 'income'").groupby("label").size().to_dict() == {
        "0.99": 2,
        "0.79": 2,
        "0.59": 2,
    }
    put_run(runs[-1], tmp_path)
    assert stored_seeds("fig3b") == [0, 1, 2]


def test_experiments_are_compared_over_the_seeds_that_all_have(tmp_path, monkeypatch):
    small_profile(monkeypatch, tmp_path)
    for run in runs_of(["fig3b"], "paper") + runs_of(["change"], "paper", seeds=2):
        put_run(run, tmp_path)
    tables = together(["fig3b", "change"])
    assert [set(table["seed"]) for table in tables.values()] == [{0, 1}, {0, 1}]


def test_curves_means_and_counts_are_one_row_a_seed():
    table = synthetic({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}, {"a": 10, "b": 10})
    assert curves(table)["b"].shape == (2, 2000)
    assert means(table)["b"].tolist() == [3.0, 4.0]
    assert series(table).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    counts = by_bs(of_bs(RISE, FALL, STEADY, 0.0))
    assert counts.shape == (3, 4, 3)
    assert counts[0].T.tolist() == [RISE, FALL, STEADY]


def test_the_readme_says_what_the_runs_say():
    assert claims.claims_table() in (store.ROOT / "README.md").read_text()
