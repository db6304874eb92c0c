"""Plots: data in, axes out, labelled, with the interval over seeds."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from mecsim.agents import AGENTS
from mecsim.experiments.plots import (
    AGENT_COLOURS,
    BS_COLOURS,
    DASHES,
    MARKERS,
    PART_COLOURS,
    SERIES_COLOURS,
    TOTAL_COLOUR,
    plot_curves,
    plot_intervals,
    plot_sweep,
    plot_tornado,
    plot_training,
)
from mecsim.experiments.statistics import interval


def curves(labels: int = 2, seeds: int = 5, slots: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"lr {number}": rng.random((seeds, slots)) + number for number in range(labels)}


FEW = {f"{seeds}": runs for seeds in (2, 5, 3) for runs in curves(1, seeds).values()}


@pytest.mark.parametrize(
    ("data", "told", "bands"),
    [
        (curves(), "5 seeds, 95% interval", 2),
        (FEW, "2 to 5 seeds, 95% interval or thin lines", 1),
        (curves(seeds=3), "3 seeds, thin lines", 0),
        (curves(seeds=1), "1 seed", 0),
    ],
)
def test_the_axes_of_curves_say_over_how_many_seeds(data, told, bands) -> None:
    ax = plot_curves(data)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (f"slot ({told})", "average income per slot")
    assert len(ax.collections) == bands


def test_a_curve_is_the_mean_over_seeds_in_a_band_that_is_their_interval() -> None:
    data = curves()
    ax = plot_curves(data, every=5)
    for line, band, (label, runs) in zip(ax.lines, ax.collections, data.items(), strict=True):
        assert line.get_label() == label
        assert line.get_xdata().tolist() == [4, 9, 14, 19, 24, 29, 34, 39]
        assert line.get_ydata() == pytest.approx(runs[:, 4::5].mean(axis=0))
        edge = band.get_paths()[0].vertices
        for slot in range(4, 40, 5):
            bound, at = interval(runs[:, slot]), edge[edge[:, 0] == slot, 1]
            assert (at.min(), at.max()) == pytest.approx((bound.low, bound.high))


def test_few_seeds_are_drawn_one_by_one_without_a_label() -> None:
    runs = curves(labels=1, seeds=2)["lr 0"]
    for ax in (plot_curves({"one": runs}, every=1), plot_sweep(range(40), {"one": runs}, plt.figure().gca())):
        assert [line.get_ydata().tolist() for line in ax.lines[:-1]] == runs.tolist()
        assert ax.lines[-1].get_ydata() == pytest.approx(runs.mean(axis=0))
        assert [text.get_text() for text in ax.texts] == ["one"]
    ax = plot_intervals({"few": [1.0, 2.0], "many": [1.0] * 5})
    assert [dots.get_offsets()[:, 1].tolist() for dots in ax.collections[:0:-1]] == [[1.0, 2.0]]


def test_the_axis_of_a_training_starts_where_its_start_is_forgotten() -> None:
    slots = np.arange(1000)
    incomes = np.where(slots < 100, 0.0, 100.0 + slots / 1000)
    low, high = plot_training({"one": np.tile(incomes, (2, 1))}).get_ylim()
    assert 99.0 < low < 100.15
    assert 100.95 < high < 102.0


@pytest.mark.parametrize("slots", [1, 3, 10, 14])
def test_a_short_curve_shows_its_last_slot(slots) -> None:
    assert plot_curves(curves(slots=slots), every=10).lines[0].get_xdata()[-1] == slots - 1


def test_labels_leave_their_ends_only_to_make_room_for_each_other() -> None:
    ends = {"low": 0.0, "middle": 0.2, "upper": 0.1, "far": 90.0}
    ax = plot_sweep([1, 2], {label: np.full((2, 2), end) for label, end in ends.items()})
    shift = {text.get_text(): text.xyann[1] for text in ax.texts}
    assert shift["far"] == pytest.approx(0.0)
    assert shift["low"] < shift["upper"] < shift["middle"]
    assert shift["low"] + shift["upper"] + shift["middle"] == pytest.approx(0.0)
    assert shift["middle"] - shift["low"] == pytest.approx(26.0, abs=1.0)


def test_intervals_of_several_series_stand_beside_each_other() -> None:
    groups = {"0.01": [1.0, 2.0, 3.0], "0.001": [4.0, 4.5, 5.0]}
    ax = plot_intervals(groups, shift=-0.1, colour=BS_COLOURS[0], label="INTO")
    plot_intervals(groups, ax, shift=0.1, colour=BS_COLOURS[1])
    assert [one[0].get_xdata().tolist() for one in ax.containers] == [[-0.1, 0.9], [0.1, 1.1]]
    assert [one[0].get_color() for one in ax.containers] == list(BS_COLOURS[:2])
    assert ax.get_xticks().tolist() == [0, 1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(groups)
    assert ax.containers[0].get_label() == "INTO"
    marks, _, (bars,) = ax.containers[0]
    assert marks.get_ydata().tolist() == [2.0, 4.5]
    for segment, values in zip(bars.get_segments(), groups.values(), strict=True):
        assert sorted(segment[:, 1]) == pytest.approx(list(interval(values)[1:3]))


def test_a_tornado_has_the_largest_effect_at_the_top_and_what_may_be_0_in_grey() -> None:
    effects = {"small": (0.01, -0.02, 0.04), "large": (-0.30, -0.35, -0.25), "sure": (0.05, 0.04, 0.06)}
    ax = plot_tornado(effects, colour=SERIES_COLOURS[1])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["small", "sure", "large"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([1.0, 5.0, -30.0])
    shown = [to_hex(bar.get_facecolor()[:3]).upper() for bar in ax.patches]
    assert shown == ["#9A9A9A", SERIES_COLOURS[1], SERIES_COLOURS[1]]
    ends = [tuple(line.get_xdata()) for line in ax.lines[:3]]
    assert ends == [pytest.approx(pair) for pair in ((-2, 4), (4, 6), (-35, -25))]


def test_no_colour_means_two_things() -> None:
    colours = [*AGENT_COLOURS.values(), *BS_COLOURS, TOTAL_COLOUR, *PART_COLOURS.values(), *SERIES_COLOURS]
    assert [to_hex(colour).upper() for colour in colours] == colours
    assert len(set(colours)) == len(colours)
    assert set(AGENT_COLOURS) == set(AGENTS)


def test_each_agent_has_a_mark_of_its_own_and_lpwpo_shows_through_olnpo() -> None:
    marks = {agent: MARKERS[colour] for agent, colour in AGENT_COLOURS.items()}
    assert len(set(marks.values())) == len(AGENTS)
    assert (DASHES[marks["LPWPO"]], DASHES[marks["OLNPO"]]) == ("-", "--")


@pytest.mark.parametrize("palette", [BS_COLOURS, PART_COLOURS.values(), SERIES_COLOURS[:3]])
def test_colours_that_stand_side_by_side_differ_in_grey(palette) -> None:
    assert len({MARKERS[colour] for colour in palette}) == len(palette)
    greys = sorted(to_rgb(colour) @ np.array([0.299, 0.587, 0.114]) for colour in palette)
    assert min(np.diff(greys)) > 0.12


def test_a_training_that_is_flat_or_diverges_is_drawn() -> None:
    broken = np.random.default_rng(0).random((2, 400))
    broken[0, 300:] = np.nan
    for curve in (np.zeros((2, 400)), broken):
        plot_training({"a": curve}, plt.figure().add_subplot())
