"""Figures from results: what is drawn, over how many seeds, and where the results come from."""

import re
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mecsim.experiments import drawn, figures
from mecsim.experiments import results as stored
from mecsim.experiments.figures import draw_panel, draw_tables, save_figures, show_panel
from mecsim.experiments.panels import COMPARED, CONTROLS, EXPERIMENTS, FIGURES
from mecsim.experiments.plots import AGENT_COLOURS, BS_COLOURS
from mecsim.experiments.store import MANIFEST


def made_up(name: str, seeds: int = 3) -> pd.DataFrame:
    """Results of an experiment in which seed s of point k earns 100 + k + s, and BS b offloads 10 b + k + s devices."""
    rows = []
    for k, point in enumerate(EXPERIMENTS[name].points):
        for agent, seed in product(point.agents, range(seeds)):
            values = [("income", -1, 100.0 + k + seed)]
            values += [(f"offloading BS-{bs}", -1, 10.0 * bs + k + seed) for bs in (1, 2, 3)]
            if name < "fig4":
                values += [("training income", slot, (100.0 + k) * slot / 119) for slot in range(120)]
            rows += [(point.label, agent, seed, *value) for value in values]
    return pd.DataFrame(rows, columns=stored.COLUMNS)


PANELS = [name for panels in FIGURES.values() for name in panels]


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_says_what_it_shows_and_over_how_many_seeds(name):
    ax = draw_panel(name, made_up(name), plt.figure().subplots(), "printed")
    assert ax.get_title().startswith(f"Fig. {name[3]}({name[4]}), printed")
    assert (EXPERIMENTS[name].title.lower() in ax.get_title()) == (name < "fig4")
    assert "3 seeds" in ax.get_xlabel()
    assert EXPERIMENTS[name].axis in ax.get_xlabel()
    assert "per slot" in ax.get_ylabel()
    written = {text.get_text() for text in ax.texts}
    assert written == {line.get_label() for line in ax.lines if not line.get_label().startswith("_")}


def test_fig6_draws_the_mean_of_each_algorithm_in_its_colour():
    ax = draw_panel("fig6b", made_up("fig6b", seeds=5), plt.figure().subplots(), "calibrated")
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == [agent for agent in AGENT_COLOURS if agent in COMPARED + CONTROLS]
    for agent, line in lines.items():
        assert line.get_color() == AGENT_COLOURS[agent]
        assert line.get_xdata().tolist() == [3, 4, 5, 6, 7, 8]
        assert line.get_ydata() == pytest.approx(102.0 + np.arange(6))
    bands = [band.get_paths()[0].get_extents() for band in ax.collections]
    assert all(band.ymin < 102.0 and band.ymax > 107.0 for band in bands)


def test_figs_4_and_5_draw_into_as_lines_and_the_control_as_dots():
    for name, shown in (("fig4a", ["BS-1", "BS-2", "BS-3"]), ("fig5a", ["BS-1", "BS-2", "BS-3", "all"])):
        table = made_up(name, seeds=5)
        table.loc[table["agent"] == "all-on", "value"] += 0.5
        ax = draw_panel(name, table, plt.figure().subplots(), "calibrated")
        assert [line.get_label() for line in ax.lines] == shown
        assert [line.get_color() for line in ax.lines[:3]] == list(BS_COLOURS)
        assert ax.lines[1].get_ydata()[0] == pytest.approx(22.0)
        dots = [dots.get_offsets()[0, 1] for dots in ax.collections if len(dots.get_offsets()) > 1]
        assert dots == pytest.approx([12.5, 22.5, 32.5] + [67.5] * (name == "fig5a"))
    assert ax.lines[3].get_ydata()[0] == pytest.approx(66.0)


def test_one_row_a_preset():
    tables = {key: {name: made_up(name) for name in FIGURES["fig4"]} for key in ("calibrated", "printed")}
    titles = [ax.get_title() for ax in draw_tables(tables).axes]
    assert titles == [f"Fig. 4({panel}), {preset}" for preset in tables for panel in "ab"]


def test_a_panel_alone_has_its_presets_side_by_side_and_the_verdicts_on_it(capsys) -> None:
    found = stored.Results(
        {preset: {"fig5a": made_up("fig5a")} for preset in ("calibrated", "printed")}, "paper"
    )
    show_panel("fig5a", found)
    left, right = plt.gcf().axes
    assert left.get_subplotspec().rowspan == right.get_subplotspec().rowspan
    first, verdicts, second, _ = capsys.readouterr().out.splitlines()
    assert (first[:2], second[:2]) == ("C7", "C8")
    assert re.fullmatch(r"     calibrated: [a-z ]+ †; printed: [a-z ]+", verdicts)
    show_panel("fig5b", found)
    assert capsys.readouterr().out == ""
    show_panel("fig5a", found._replace(profile="quick"))
    assert capsys.readouterr().out.startswith("profile quick")


def test_every_figure_is_written_as_svg_and_png_with_the_same_bytes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "results", lambda name, preset: made_up(name))
    few = {figure: panels[:1] for figure, panels in FIGURES.items()}
    monkeypatch.setattr(figures, "FIGURES", few)
    with monkeypatch.context() as patch:
        patch.setattr(drawn, "FOLDER", tmp_path / "own")
        own = drawn.draw(tmp_path / "own")
        assert set(drawn.FigureStore(tmp_path / "own").manifest()) == {file.name for file in own}
    files = drawn.draw(tmp_path / "one")
    assert not (tmp_path / "one" / MANIFEST).exists(), "what lies elsewhere is not vouched for"
    assert [file.name for file in files] == [f"{name}.{kind}" for name in few for kind in ("svg", "png")]
    for file, again in zip(files, save_figures(tmp_path / "two"), strict=True):
        assert file.read_bytes() == again.read_bytes()
        assert file.stat().st_size > 10_000
        assert drawn.figure_job(file.name).measure() == file.read_bytes()
