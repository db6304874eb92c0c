"""Plots: data in, axes out, labelled, with the interval over seeds."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from mecsim.agents import AGENTS
from mecsim.experiments.plots import (
    AGENT_COLOURS,
    BS_COLOURS,
    SERIES_COLOURS,
    plot_curves,
    plot_intervals,
    plot_sweep,
    plot_tornado,
    use_style,
)
from mecsim.experiments.statistics import interval


@pytest.fixture(autouse=True)
def own_style():
    """Every test starts with matplotlib's own style."""
    with plt.rc_context():
        yield


def curves(labels: int = 2, seeds: int = 3, slots: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"lr {number}": rng.random((seeds, slots)) + number for number in range(labels)}


class TestCurves:
    def test_axes_say_what_they_show_and_over_how_many_seeds(self) -> None:
        ax = plot_curves(curves())
        assert ax.get_xlabel() == "slot (3 seeds, 95% interval)"
        assert ax.get_ylabel() == "average income per slot"
        assert plot_curves(curves(seeds=1), plt.figure().gca()).get_xlabel() == "slot (1 seed)"

    def test_curves_of_different_seeds_say_so(self) -> None:
        few = {f"{seeds}": runs for seeds in (2, 5, 3) for runs in curves(1, seeds).values()}
        assert plot_curves(few).get_xlabel() == "slot (2 to 5 seeds, 95% interval)"

    def test_a_line_is_the_mean_over_seeds(self) -> None:
        data = curves()
        ax = plot_curves(data, every=5)
        for line, (label, runs) in zip(ax.get_lines(), data.items(), strict=True):
            assert line.get_label() == label
            assert line.get_xdata().tolist() == [4, 9, 14, 19, 24, 29, 34, 39]
            assert line.get_ydata() == pytest.approx(runs[:, 4::5].mean(axis=0))

    def test_a_band_is_the_interval_over_seeds(self) -> None:
        data = curves(labels=1)
        ax = plot_curves(data, every=5)
        (band,) = ax.collections
        heights = band.get_paths()[0].vertices
        (runs,) = data.values()
        for slot in range(4, 40, 5):
            bound = interval(runs[:, slot])
            at = heights[heights[:, 0] == slot, 1]
            assert (at.min(), at.max()) == pytest.approx((bound.low, bound.high))

    def test_one_seed_has_no_band(self) -> None:
        assert len(plot_curves(curves(seeds=1)).collections) == 0

    def test_every_curve_is_labelled_at_its_end_in_its_own_colour(self) -> None:
        ax = plot_curves(curves())
        ends = [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in ax.get_lines()]
        assert [text.get_text() for text in ax.texts] == ["lr 0", "lr 1"]
        assert [text.xy for text in ax.texts] == ends
        assert [text.get_color() for text in ax.texts] == list(SERIES_COLOURS[:2])

    def test_no_curve_is_left_out(self) -> None:
        assert len(plot_curves(curves(labels=9)).get_lines()) == 9

    @pytest.mark.parametrize("slots", [1, 3, 10, 14])
    def test_a_short_curve_shows_its_last_slot(self, slots) -> None:
        ax = plot_curves(curves(slots=slots), every=10)
        assert ax.get_lines()[0].get_xdata()[-1] == slots - 1

    def test_draws_where_it_is_told_and_gives_that_back(self) -> None:
        _, (left, right) = plt.subplots(1, 2)
        assert plot_curves(curves(), right) is right
        assert not left.get_lines()
        plt.sca(left)
        assert plot_curves(curves()) is left


class TestSweep:
    def test_the_means_of_a_group_at_each_place(self) -> None:
        (line,) = plot_sweep([1, 2, 4], {"INTO": np.array([[1.0, 5.0, 3.0], [2.0, 5.0, 5.0]])}).get_lines()
        assert line.get_xydata().tolist() == [[1.0, 1.5], [2.0, 5.0], [4.0, 4.0]]

    def test_labels_leave_their_ends_only_to_make_room_for_each_other(self) -> None:
        ends = {"low": 0.0, "middle": 0.2, "upper": 0.1, "far": 90.0}
        ax = plot_sweep([1, 2], {label: np.full((2, 2), end) for label, end in ends.items()})
        shift = {text.get_text(): text.xyann[1] for text in ax.texts}
        assert shift["far"] == pytest.approx(0.0)
        assert shift["low"] < shift["upper"] < shift["middle"]
        assert shift["low"] + shift["upper"] + shift["middle"] == pytest.approx(0.0)
        assert shift["middle"] - shift["low"] == pytest.approx(26.0, abs=1.0)


class TestIntervals:
    GROUPS = {"0.01": [1.0, 2.0, 3.0], "0.001": [4.0, 4.5, 5.0]}  # noqa: RUF012

    def test_marks_the_mean_and_the_interval_of_every_group(self) -> None:
        ax = plot_intervals({name: np.array(values) for name, values in self.GROUPS.items()}, label="INTO")
        (container,) = ax.containers
        marks, _, (bars,) = container
        assert marks.get_ydata().tolist() == [2.0, 4.5]
        for segment, values in zip(bars.get_segments(), self.GROUPS.values(), strict=True):
            bound = interval(values)
            assert sorted(segment[:, 1]) == pytest.approx([bound.low, bound.high])
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.01", "0.001"]
        assert container.get_label() == "INTO"

    def test_series_stand_beside_each_other(self) -> None:
        ax = plot_intervals(self.GROUPS, shift=-0.1, colour=BS_COLOURS[0])
        plot_intervals(self.GROUPS, ax, shift=0.1, colour=BS_COLOURS[1])
        assert [container[0].get_xdata().tolist() for container in ax.containers] == [[-0.1, 0.9], [0.1, 1.1]]
        assert [container[0].get_color() for container in ax.containers] == list(BS_COLOURS[:2])
        assert ax.get_xticks().tolist() == [0, 1]


class TestColours:
    def test_every_agent_has_one_of_its_own(self) -> None:
        assert set(AGENT_COLOURS) == set(AGENTS)
        assert len(set(AGENT_COLOURS.values())) == len(AGENTS)

    @pytest.mark.parametrize("palette", [tuple(AGENT_COLOURS.values()), BS_COLOURS, SERIES_COLOURS])
    def test_colours_are_colours_and_differ(self, palette) -> None:
        assert [to_hex(colour).upper() for colour in palette] == [colour.upper() for colour in palette]
        assert len(set(palette)) == len(palette)


def test_the_style_is_the_same_for_every_notebook() -> None:
    use_style()
    cycle = [to_hex(colour).upper() for colour in plt.rcParams["axes.prop_cycle"].by_key()["color"]]
    assert cycle == list(SERIES_COLOURS)
    assert plt.rcParams["figure.constrained_layout.use"] is True
    assert plt.rcParams["axes.spines.top"] is False


EFFECTS = {"small": (0.01, -0.02, 0.04), "large": (-0.30, -0.35, -0.25), "sure": (0.05, 0.04, 0.06)}


class TestTornado:
    def test_the_largest_effect_is_at_the_top_and_every_bar_is_in_percent(self) -> None:
        ax = plot_tornado(EFFECTS)
        assert [tick.get_text() for tick in ax.get_yticklabels()] == ["small", "sure", "large"]
        assert [bar.get_width() for bar in ax.patches] == pytest.approx([1.0, 5.0, -30.0])

    def test_an_interval_that_holds_0_is_grey(self) -> None:
        ax = plot_tornado(EFFECTS, colour=SERIES_COLOURS[1])
        shown = [to_hex(bar.get_facecolor()[:3]).upper() for bar in ax.patches]
        assert shown == ["#9A9A9A", SERIES_COLOURS[1], SERIES_COLOURS[1]]

    def test_the_interval_is_drawn_over_its_bar(self) -> None:
        ax = plot_tornado(EFFECTS)
        ends = [tuple(line.get_xdata()) for line in ax.get_lines()[:3]]
        assert ends == [pytest.approx(pair) for pair in ((-2, 4), (4, 6), (-35, -25))]
