"""Figures from results: what is drawn, over how many seeds, and where the results come from."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mecsim.experiments import results as stored
from mecsim.experiments.figures import (
    AGENT_COLOURS,
    BS_COLOURS,
    FIGURES,
    draw_panel,
    draw_tables,
    save_figures,
)
from mecsim.experiments.notebooks import FigureParameters
from mecsim.experiments.panels import EXPERIMENTS, PROFILES, RIVALS
from mecsim.experiments.results import MissingRuns, results_for, stored_tables
from mecsim.settings import SettingError


def made_up(name: str, seeds: int = 3) -> pd.DataFrame:
    """Results of an experiment in which seed s of point k earns 100 + k + s, and BS b offloads 10 b + k + s devices."""
    rows = []
    for k, point in enumerate(EXPERIMENTS[name].points):
        for agent in point.agents:
            for seed in range(seeds):
                rows.append((point.label, agent, seed, "income", -1, 100.0 + k + seed))
                rows += [
                    (point.label, agent, seed, f"offloading BS-{bs}", -1, 10.0 * bs + k + seed)
                    for bs in (1, 2, 3)
                ]
                if name < "fig4":
                    curve = enumerate(np.linspace(0.0, 100.0 + k, 120))
                    rows += [(point.label, agent, seed, "training income", slot, v) for slot, v in curve]
    return pd.DataFrame(rows, columns=["label", "agent", "seed", "metric", "slot", "value"])


PANELS = [name for panels in FIGURES.values() for name in panels]


def test_the_figures_are_those_of_section_v():
    assert [name for name in EXPERIMENTS if name.startswith("fig")] == PANELS


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_says_what_it_shows_and_over_how_many_seeds(name):
    ax = draw_panel(name, made_up(name), plt.figure().subplots(), "printed")
    assert ax.get_title().startswith(f"Fig. {name[3]}({name[4]}), printed")
    assert (EXPERIMENTS[name].title.lower() in ax.get_title()) == (name < "fig4")
    assert "3 seeds" in ax.get_xlabel()
    assert EXPERIMENTS[name].axis in ax.get_xlabel()
    assert "per slot" in ax.get_ylabel()
    written = {text.get_text() for text in ax.texts}
    assert written == {line.get_label() for line in ax.lines}


def test_fig6_draws_the_mean_of_each_algorithm_in_its_colour():
    ax = draw_panel("fig6b", made_up("fig6b"), plt.figure().subplots(), "calibrated")
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == [agent for agent in AGENT_COLOURS if agent not in RIVALS]
    for agent, line in lines.items():
        assert line.get_color() == AGENT_COLOURS[agent]
        assert line.get_xdata().tolist() == [3, 4, 5, 6, 7, 8]
        assert line.get_ydata() == pytest.approx(101.0 + np.arange(6))
    bands = [band.get_paths()[0].get_extents() for band in ax.collections]
    assert all(band.ymin < 101.0 and band.ymax > 106.0 for band in bands)


def test_figs_4_and_5_draw_into_as_lines_and_the_control_as_dots():
    for name, shown in (("fig4a", ["BS-1", "BS-2", "BS-3"]), ("fig5a", ["BS-1", "BS-2", "BS-3", "all"])):
        table = made_up(name)
        table.loc[table["agent"] == "all-on", "value"] += 0.5
        ax = draw_panel(name, table, plt.figure().subplots(), "calibrated")
        assert [line.get_label() for line in ax.lines] == shown
        assert [line.get_color() for line in ax.lines[:3]] == list(BS_COLOURS)
        assert ax.lines[1].get_ydata()[0] == pytest.approx(21.0)
        dots = [dots.get_offsets()[0, 1] for dots in ax.collections if len(dots.get_offsets()) > 1]
        assert dots == pytest.approx([11.5, 21.5, 31.5] + [64.5] * (name == "fig5a"))
    assert ax.lines[3].get_ydata()[0] == pytest.approx(63.0)


def test_one_row_a_preset():
    tables = {
        preset: {name: made_up(name) for name in FIGURES["fig4"]} for preset in ("calibrated", "printed")
    }
    titles = [ax.get_title() for ax in draw_tables(tables).axes]
    assert titles == [f"Fig. 4({panel}), {preset}" for preset in tables for panel in "ab"]


def test_every_figure_is_written_as_svg_and_png_with_the_same_bytes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "results", lambda name, preset: made_up(name))
    files = save_figures(tmp_path / "one")
    assert [file.name for file in files] == [f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")]
    for file, again in zip(files, save_figures(tmp_path / "two"), strict=True):
        assert file.read_bytes() == again.read_bytes()
        assert file.stat().st_size > 10_000


def test_a_preset_without_runs_is_left_out_and_none_at_all_is_an_error(monkeypatch):
    def only_calibrated(name, preset):
        if preset != "calibrated":
            raise MissingRuns(f"{name} is missing")
        return made_up(name)

    monkeypatch.setattr(stored, "results", only_calibrated)
    assert list(stored_tables(["fig4a"])) == ["calibrated"]
    with pytest.raises(MissingRuns, match="fig4a is missing"):
        stored_tables(["fig4a"], ["printed"])


class TestOnDemand:
    @pytest.fixture
    def profiles(self, tmp_path, monkeypatch):
        sizes = {"INTO": {"actor_hidden": (4, 4), "critic_hidden": (4, 4)}}
        kind = PROFILES["quick"].__class__
        for name in ("paper", "quick"):
            folder = tmp_path / name / "runs"
            monkeypatch.setitem(PROFILES, name, kind(2, 4, 3, folder, sizes))

    @pytest.mark.usefixtures("profiles")
    def test_what_is_missing_is_computed_at_the_quick_scale(self):
        found = results_for(["fig3b"], ["printed"])
        assert found.profile == "quick"
        assert found.scale == "profile quick: 4 slots trained, 3 evaluated"
        assert found.tables["printed"]["fig3b"]["seed"].nunique() == 2
        assert not list(PROFILES["paper"].folder.glob("*"))

    @pytest.mark.usefixtures("profiles")
    def test_stored_results_are_taken_for_the_presets_that_have_them(self, monkeypatch):
        stored.run_experiments(["fig3b"], "paper", "printed", workers=1)
        monkeypatch.setattr(stored, "run_experiments", None)  # nothing is computed
        found = results_for(["fig3b"], ["calibrated", "printed"])
        assert found.profile == "paper"
        assert list(found.tables) == ["printed"]

    @pytest.mark.usefixtures("profiles")
    def test_a_changed_scenario_is_computed_even_where_the_usual_one_is_stored(self, monkeypatch):
        stored.run_experiments(["fig3b"], "paper", workers=1)
        found = results_for(["fig3b"], ["calibrated"], {"tau_s": 5.0})
        assert found.profile == "quick"

    def test_a_change_that_is_not_allowed_is_refused_before_anything_runs(self, monkeypatch):
        monkeypatch.setattr(stored, "run_experiments", None)
        with pytest.raises(SettingError, match=r"Scenario\.tau_s = -1"):
            results_for(["fig3b"], ["calibrated"], {"tau_s": -1})


class TestParameters:
    def test_all_panels_or_one(self):
        whole = FigureParameters(panel="all", preset="both", changes={})
        assert whole.panels(FIGURES["fig6"]) == list(FIGURES["fig6"])
        assert whole.presets == ["calibrated", "printed"]
        one = FigureParameters(panel="6b", preset="physical", changes={})
        assert one.panels(FIGURES["fig6"]) == ["fig6b"]
        assert one.presets == ["physical"]

    def test_what_is_not_there_is_refused_in_one_sentence(self):
        with pytest.raises(
            SettingError, match="panel = '4a' is not allowed: it should be all, or one of 6a, 6b, 6c, 6d"
        ):
            FigureParameters(panel="4a", preset="both", changes={}).panels(FIGURES["fig6"])
        with pytest.raises(SettingError, match=r"FigureParameters\.preset = 'moon'"):
            FigureParameters(panel="all", preset="moon", changes={})
