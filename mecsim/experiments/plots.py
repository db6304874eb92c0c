"""Plots in one look: data in, axes out. They know nothing of agents, experiments or stored runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.core.getipython import get_ipython
from matplotlib.axes import Axes
from matplotlib_inline.backend_inline import set_matplotlib_formats
from scipy.optimize import isotonic_regression

from mecsim.experiments.statistics import CONFIDENCE, WINDOW, interval, trailing_mean
from mecsim.physics import Array

AGENT_COLOURS = {
    "INTO": "#0072B2",
    "LPWPO": "#009E73",
    "OLNPO": "#E69F00",
    "DDQN": "#CC79A7",
    "all-on": "#56B4E9",
    "untrained": "#7F7F7F",
    "greedy": "#D55E00",
    "thrifty": "#000000",
    "planner": "#6F4FA2",
}
"""Okabe and Ito's palette, safe for colour-blind readers; the order is the order of every legend."""

BS_COLOURS, TOTAL_COLOUR = ("#00474F", "#9DBF15", "#A65680"), "#404040"
PART_COLOURS = {"uplink": "#D9C77E", "wire": "#A8843A", "computing": "#6B4E16"}
"""Of the parts of a delay, from light to dark in the order in which they pass."""
SERIES_COLOURS = ("#51127C", "#B73779", "#FC8961", "#1D1147", "#E75263", "#FEC287")
"""Of whatever else a figure compares. No colour stands in two of these four palettes: none means two things."""
MARKERS = {
    colour: marker
    for palette in (
        AGENT_COLOURS.values(),
        (*BS_COLOURS, TOTAL_COLOUR),
        PART_COLOURS.values(),
        SERIES_COLOURS,
    )
    for colour, marker in zip(palette, "osD^vXP*h", strict=False)
}
DASHES = dict(zip("osD^vXP*h", ("-", "-", "--", "-.", "--", ":", "-.", "-", "--"), strict=True))
"""What tells a colour's marks and lines from others in grey; OLNPO's line lets LPWPO's under it be seen."""
LABEL_GAP = 13.0
"""Points between the labels of two lines."""
FEW = 5
"""With fewer seeds than these each is drawn on its own: their 95 % interval is wider than they are apart."""


def use_style() -> None:
    """Sets the look of all figures of a notebook, which keeps them at twice the resolution of the page."""
    if get_ipython():
        set_matplotlib_formats("retina")
    sns.set_theme(context="notebook", style="whitegrid", palette=SERIES_COLOURS)
    plt.rcParams.update(
        {
            "figure.figsize": (7.0, 3.8),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": "#E5E5E5",
            "svg.hashsalt": "mecsim",
        }
    )


def plot_curves(
    curves: Mapping[str, Array],
    ax: Axes | None = None,
    colours: Mapping[str, str] | None = None,
    every: int = 10,
) -> Axes:
    """Learning curves with their mean and 95 % interval over seeds, or each seed of a few, labelled at their end.

    Args:
        curves: by label, arrays of shape (seeds, slots).
        ax: where to draw.
        colours: by label.
        every: slots between two drawn points, counted from the last.
    """
    ax, colours = ax or plt.gca(), colours or dict(zip(curves, cycle(SERIES_COLOURS), strict=False))
    for label, runs in curves.items():
        colour = colours[label]
        slots = np.arange(runs.shape[1] - 1, -1, -every)[::-1]
        _band(ax, slots, runs[:, slots], colour, alpha=0.2)
        ax.plot(slots, runs[:, slots].mean(axis=0), DASHES[_marker(colour)], color=colour, label=label)
    _label_ends(ax)
    ax.set(xlabel=f"slot ({seeds_in_words(curves.values())})", ylabel="average income per slot")
    return ax


def plot_training(
    incomes: Mapping[str, Array], ax: Axes | None = None, colours: Mapping[str, str] | None = None
) -> Axes:
    """The average income of Fig. 3 while agents train, on an axis on which curves that end close can be told apart.

    The axis starts where the lowest curve is once its mean has forgotten the start, with its empty batteries.

    Args:
        incomes: of the training slots by label, arrays of shape (seeds, slots).
        ax: where to draw.
        colours: by label.
    """
    means = {label: trailing_mean(runs) for label, runs in incomes.items()}
    ax = plot_curves(means, ax, colours)
    later = [settled for runs in means.values() if (settled := runs.mean(axis=0)[2 * WINDOW :]).size]
    if later:
        low, high = min(map(np.nanmin, later)), max(map(np.nanmax, later))
        if high > low:
            ax.set_ylim(low - 0.4 * (high - low), high + 0.3 * (high - low))
    return ax


def seeds_in_words(runs: Iterable[Array]) -> str:
    """Over how many seeds a figure's runs are, and how it shows them, such as "20 seeds, 95% interval"."""
    counts = sorted({len(one) for one in runs})
    seeds = " to ".join(map(str, sorted({counts[0], counts[-1]})))
    if counts[-1] == 1:
        return "1 seed"
    shown = [f"{CONFIDENCE:.0%} interval"] * (counts[-1] >= FEW) + ["thin lines"] * (counts[0] < FEW)
    return f"{seeds} seeds, {' or '.join(shown)}"


def plot_sweep(
    x: Sequence[float],
    groups: Mapping[str, Array],
    ax: Axes | None = None,
    colours: Mapping[str, str] | None = None,
    dotted: bool = False,
) -> Axes:
    """Means along an x axis with their 95 % interval over seeds, or each seed of a few, labelled at their end.

    Args:
        x: places on the axis.
        groups: by label, arrays of shape (seeds, points).
        ax: where to draw.
        colours: by label.
        dotted: draw the means alone, as open marks without labels, for a comparison.
    """
    ax, colours = ax or plt.gca(), colours or dict(zip(groups, cycle(SERIES_COLOURS), strict=False))
    for label, runs in groups.items():
        mean, colour = runs.mean(axis=0), colours[label]
        marker = _marker(colour)
        if dotted:
            ax.scatter(x, mean, s=34, marker=marker, facecolor="none", edgecolor=colour, lw=0.9)
            continue
        _band(ax, x, runs, colour, alpha=0.15)
        ax.plot(x, mean, marker + DASHES[marker], ms=4.5, lw=1.6, color=colour, label=label)
    if not dotted:
        _label_ends(ax)
        ax.set_xticks(x, [f"{place:g}" for place in x])
    return ax


def plot_intervals(
    groups: Mapping[str, Array],
    ax: Axes | None = None,
    colour: str = SERIES_COLOURS[0],
    shift: float = 0.0,
    label: str | None = None,
) -> Axes:
    """The mean and 95 % interval over seeds of each group, side by side; with few seeds each of them beside it.

    Args:
        groups: by the label on the x axis, one value a seed.
        ax: where to draw.
        colour: of the marks.
        shift: to the right, in groups, so that several series stand beside each other.
        label: of the series in the legend.
    """
    ax = ax or plt.gca()
    means, _, highs = np.array([interval(values)[:3] for values in groups.values()]).T
    places, marker = np.arange(len(groups)) + shift, _marker(colour)
    ax.errorbar(places, means, yerr=highs - means, fmt=marker, color=colour, capsize=3, ms=5, label=label)
    for place, values in zip(places, groups.values(), strict=True):
        if len(values) < FEW:
            ax.scatter([place + 0.06] * len(values), values, s=12, facecolor="none", edgecolor=colour, lw=0.8)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.margins(x=0.15)
    return ax


def plot_tornado(
    effects: Mapping[str, Sequence[float]], ax: Axes | None = None, colour: str = SERIES_COLOURS[0]
) -> Axes:
    """Effects with their 95 % interval as horizontal bars, the largest at the top.

    Args:
        effects: by label, the mean and the two ends of its interval, as shares.
        ax: where to draw.
        colour: of bars whose interval leaves out 0; the others are grey.
    """
    ax = ax or plt.gca()
    smallest_first = sorted(effects.items(), key=lambda item: abs(item[1][0]))
    for place, (_, (mean, low, high)) in enumerate(smallest_first):
        shown = colour if low > 0 or high < 0 else "#9A9A9A"
        ax.barh(place, 100 * mean, height=0.62, color=shown, alpha=0.75)
        ax.plot([100 * low, 100 * high], [place, place], color="#333333", lw=1.2, marker="|", ms=5)
    ax.set_yticks(range(len(smallest_first)), [label for label, _ in smallest_first])
    ax.axvline(0, color="#333333", lw=0.8)
    ax.grid(axis="y", visible=False)
    ax.set(ylim=(-0.7, len(smallest_first) - 0.3))
    return ax


def _marker(colour: str) -> str:
    return MARKERS.get(colour, "o")


def _band(ax: Axes, x: Sequence[float] | Array, runs: Array, colour: str, alpha: float) -> None:
    """The 95 % interval over seeds at each place, or a thin line a seed of a few; `runs` is (seeds, places)."""
    if len(runs) >= FEW:
        bounds = [interval(values) for values in runs.T]
        ax.fill_between(x, [b.low for b in bounds], [b.high for b in bounds], color=colour, alpha=alpha, lw=0)
    elif len(runs) > 1:
        ax.plot(x, runs.T, color=colour, lw=0.6, alpha=0.7)


def _label_ends(ax: Axes) -> None:
    """Writes each line's label as near to its end as labels that are `LABEL_GAP` points apart or more can be."""
    ax.autoscale_view()
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    ends = [np.asarray(line.get_xydata(), float)[-1] for line in lines]
    heights = ax.transData.transform(ends)[:, 1] * 72 / ax.figure.dpi
    order = np.argsort(heights, kind="stable")
    stacked = LABEL_GAP * np.arange(len(order))
    apart = np.empty_like(heights)
    apart[order] = isotonic_regression(heights[order] - stacked).x + stacked
    for line, end, shift in zip(lines, ends, apart - heights, strict=True):
        ax.annotate(
            str(line.get_label()),
            (end[0], end[1]),
            xytext=(6, shift),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
        )
