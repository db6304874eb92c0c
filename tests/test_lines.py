"""The lines of the figures as tables: the same means and intervals that the figures draw."""

import pandas as pd
import pytest
from test_figures import made_up

from mecsim.experiments.lines import COLUMNS, bounds_table, lines_table
from mecsim.experiments.panels import EVERYONE
from mecsim.experiments.standings import COLUMNS as RATIOS
from mecsim.experiments.statistics import interval


def rows(name: str) -> pd.DataFrame:
    found = lines_table(name, made_up(name))
    assert list(found) == COLUMNS
    assert set(found["seeds"]) == {3}
    return found


def test_fig6_has_the_mean_income_of_everyone_at_each_place() -> None:
    found = rows("fig6b")
    assert list(dict.fromkeys(found["agent"])) == list(EVERYONE)
    own = found.loc[found["agent"] == "INTO"]
    assert own["x"].tolist() == [3, 4, 5, 6, 7, 8]
    assert own[["mean", "low", "high"]].iloc[0].tolist() == pytest.approx(interval([100, 101, 102])[:3])
    assert own["mean"].iloc[-1] == pytest.approx(106.0)


def test_figs_4_and_5_have_the_devices_of_each_bs_and_fig_5_their_sum() -> None:
    assert set(rows("fig4a")["line"]) == {"BS-1", "BS-2", "BS-3"}
    found = rows("fig5a").set_index(["agent", "line"]).loc[("all-on", "all")]
    assert found["mean"].iloc[0] == pytest.approx(63.0)


def test_fig_3_has_the_average_income_up_to_every_20th_slot_and_the_last() -> None:
    found = rows("fig3a").set_index("line").loc["0.001"]
    assert found["x"].tolist() == [19, 39, 59, 79, 99, 119]
    assert found["mean"].iloc[0] == pytest.approx(101.0 * 9.5 / 119)


def test_the_bounds_have_a_line_a_bound_in_each_panel() -> None:
    made = [
        ("printed", panel, f"{x:g}", x, f"{panel} {x}", agent, seed, bound, 0.5 + 0.1 * seed, 0.01)
        for panel in ("fig6a", "fig6b")
        for x in (1.0, 2.0)
        for agent in ("INTO", "all-on")
        for seed in (0, 1)
        for bound in ("per slot", "long run")
    ]
    found = bounds_table(pd.DataFrame(made, columns=RATIOS))
    assert list(found) == ["fig6a", "fig6b"]
    table = found["fig6b"]
    assert len(table) == 8
    assert table["mean"].tolist() == pytest.approx([0.55] * 8)
    assert table[["line", "x"]].drop_duplicates().to_numpy().tolist() == [
        ["per slot", 1.0],
        ["long run", 1.0],
        ["per slot", 2.0],
        ["long run", 2.0],
    ]
