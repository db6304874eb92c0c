"""The calibration's rule on made-up maps, its map on made-up counts, and one small real measurement."""

from pathlib import Path

import pandas as pd
import pytest
from stored import put

from mecsim.agents import make_agent
from mecsim.experiments import calibration, checks
from mecsim.experiments.calibration import SWEEPS, CalibrationStore, Cell, calibration_map, cell_job, pick
from mecsim.experiments.statistics import Interval, interval, verdict
from mecsim.experiments.store import read_meta, read_tables
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

CLAIMS = [f"C{number}" for number in range(4, 11)]


def made_up_map(cells: dict[tuple[float, float, float], float | list[float]]) -> pd.DataFrame:
    """A map with the margins of C4-C10 in each cell, all reproduced unless a margin is not above 0."""
    rows = []
    for cell, margins in cells.items():
        margins = margins if isinstance(margins, list) else [margins] * 7
        for claim, mean in zip(CLAIMS, margins, strict=True):
            verdict = "reproduced" if mean > 0 else "not reproduced"
            rows.append({**Cell(*cell)._asdict(), "claim": claim, "mean": mean, "verdict": verdict})
    return pd.DataFrame(rows)


class TestPick:
    def test_the_only_cell_where_all_seven_hold(self) -> None:
        six = [0.9, 0.9, 0.9, -0.1, 0.9, 0.9, 0.9]
        assert pick(made_up_map({(0.0, 0.1, 3.0): six, (1.0, 0.5, 12.0): 0.01})) == (1.0, 0.5, 12.0)

    def test_an_inconclusive_claim_does_not_hold(self) -> None:
        table = made_up_map({(0.0, 0.1, 3.0): 0.9, (1.0, 0.5, 12.0): 0.01})
        table.loc[3, "verdict"] = "inconclusive"
        assert pick(table) == (1.0, 0.5, 12.0)

    def test_the_smallest_tau_comes_first_whatever_the_margins(self) -> None:
        table = made_up_map({(0.0, 0.1, 6.0): 0.9, (0.3, 0.2, 3.0): 0.01, (0.1, 0.1, 12.0): 0.9})
        assert pick(table) == (0.3, 0.2, 3.0)

    def test_then_the_widest_narrowest_margin(self) -> None:
        table = made_up_map(
            {
                (0.0, 0.1, 3.0): [0.9, 0.9, 0.9, 0.02, 0.9, 0.9, 0.9],
                (0.01, 0.1, 3.0): [0.1, 0.1, 0.1, 0.03, 0.1, 0.1, 0.1],
                (0.03, 0.1, 3.0): [0.5, 0.01, 0.5, 0.5, 0.5, 0.5, 0.5],
            }
        )
        assert pick(table) == (0.01, 0.1, 3.0)

    def test_none_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no cell where C4-C10 all hold"):
            pick(made_up_map({(0.0, 0.1, 3.0): -0.1, (1.0, 0.5, 12.0): 0.0}))


def test_a_preset_that_the_rule_does_not_pick_and_a_changed_default_are_faults(monkeypatch) -> None:
    monkeypatch.setattr(checks, "stores", list)
    monkeypatch.setattr(checks, "changed_defaults", lambda: ["one has changed."])
    other = made_up_map({(0.0, 0.1, 3.0): 0.9})
    monkeypatch.setattr(calibration, "stored_map", lambda: other)
    changed, picked = checks.faults()
    assert changed == "one has changed."
    assert "the rule picks Cell(alpha=0.0, mean_gain=0.1, tau_s=3.0)" in picked
    none = made_up_map({(0.0, 0.1, 3.0): -0.1})
    monkeypatch.setattr(calibration, "stored_map", lambda: none)
    assert "no cell where C4-C10 all hold" in checks.faults()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two seeds of three slots: too few for the claims, real all the same."""
    store = CalibrationStore(tmp_path_factory.mktemp("calibration"))
    return put(store, [cell_job(Cell(0.03, 0.5, 3.0), slots=3, seeds=2)]).folder


class TestMeasure:
    def test_one_file_with_every_point_of_the_four_sweeps(self, folder) -> None:
        (path,) = folder.glob("*.parquet")
        assert path.name == "alpha0.03_gain0.5_tau3_3x2.parquet"
        settings = {"alpha": 0.03, "mean_gain": 0.5, "tau_s": 3.0, "slots": 3, "seeds": 2}
        assert read_meta(path)["run"] == settings
        table = read_tables(folder)
        assert len(table) == (5 + 5 + 6 + 6) * 2 * 3  # points, seeds, BSs
        for sweep in SWEEPS:
            part = table[table["sweep"] == sweep.symbol]
            assert sorted(part["value"].unique()) == list(sweep.values)
            assert sorted(part["bs"].unique()) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("sweep", "value", "changes"),
        [
            ("xi", 2.0, {"award_scale": (2.0, 1.0, 1.0)}),
            ("zeta", 1.2, {"density_scale": (1.0, 1.2, 1.2)}),
            ("sigma", 1.2, {"gain_scale": 1.2}),
            ("rho", 1.2, {"harvest_scale": 1.2}),
        ],
    )
    def test_a_row_is_a_rollout_of_the_control(self, folder, sweep, value, changes) -> None:
        table = read_tables(folder).set_index(["sweep", "value", "seed", "bs"]).sort_index()
        scenario = Scenario(interference=0.03, mean_gain=0.5, tau_s=3.0, **changes)
        record = rollout(make_agent("all-on", scenario), PhysicalSystem(scenario, 1), 3)
        for bs in range(3):
            row = table.loc[(sweep, value, 1, bs + 1)]
            assert row["offloading"] == pytest.approx(record.offloading[:, bs].mean())
            assert row["income"] == pytest.approx(record.income.mean())

    def test_the_map_says_of_every_claim_its_margin_and_verdict(self, folder) -> None:
        table = read_tables(folder)
        found = calibration_map(table).set_index("claim")
        assert found.index.tolist() == CLAIMS
        assert (found["seeds"] == 2).all()
        margins = found[["mean", "low", "high", "seeds"]].itertuples(index=False)
        assert found["verdict"].tolist() == [verdict(Interval(*margin)) for margin in margins]
        gains = table[table["sweep"] == "sigma"].pivot_table("offloading", "seed", "value", aggfunc="sum")
        c8 = interval(0.05 - (gains[1.2] / gains[1.0] - 1.0))
        assert found.loc["C8", ["mean", "low", "high"]].tolist() == pytest.approx(c8[:3])
