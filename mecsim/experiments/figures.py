"""The paper's figures, drawn from stored runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim.experiments.claims import verdicts_on
from mecsim.experiments.drawn import KINDS
from mecsim.experiments.lines import ALL, lines, places
from mecsim.experiments.panels import COMPARED, CONTROLS, EXPERIMENTS, FIGURES
from mecsim.experiments.plots import (
    AGENT_COLOURS,
    BS_COLOURS,
    TOTAL_COLOUR,
    plot_sweep,
    plot_training,
    seeds_in_words,
    use_style,
)
from mecsim.experiments.results import Results, curves, means, stored_tables
from mecsim.experiments.store import write_atomically

WIDTH_INCHES, HEIGHT_INCHES = 5.2, 3.6
BY_BS = {f"BS-{bs}": colour for bs, colour in enumerate(BS_COLOURS, start=1)}
"""The colour of each BS's line."""


def draw_learning(name: str, table: pd.DataFrame, ax: Axes) -> Axes:
    """A panel of Fig. 3: the income of INTO while it trains, one curve a point."""
    return plot_training(curves(table), ax)


def draw_counts(name: str, table: pd.DataFrame, ax: Axes) -> Axes:
    """A panel of Figs 4 and 5: offloading devices of each BS, and of all, under INTO (lines), all-on (open marks)."""
    colours = {**BY_BS, ALL: TOTAL_COLOUR}
    shown = lines(name, table)
    for agent, dotted in (("all-on", True), ("INTO", False)):
        groups = {line: runs for (who, line), runs in shown.items() if who == agent}
        plot_sweep(places(name), groups, ax, colours, dotted=dotted)
    ax.set(ylabel="offloading devices per slot", ylim=(0, 1.06 * ax.dataLim.y1))  # above the highest mark
    return ax


def draw_incomes(name: str, table: pd.DataFrame, ax: Axes) -> Axes:
    """A panel of Fig. 6: the mean income of each algorithm on the same fresh slots."""
    shown = lines(name, table)
    incomes = {agent: runs for (agent, _), runs in shown.items() if agent in COMPARED + CONTROLS}
    plot_sweep(places(name), incomes, ax, AGENT_COLOURS)
    ax.set(ylabel="average income per slot")
    return ax


DRAW: dict[str, Callable[[str, pd.DataFrame, Axes], Axes]] = {
    "fig3": draw_learning,
    "fig4": draw_counts,
    "fig5": draw_counts,
    "fig6": draw_incomes,
}


def draw_panel(name: str, table: pd.DataFrame, ax: Axes, preset: str) -> Axes:
    """One panel from its results; its x axis says over how many seeds."""
    DRAW[name[:4]](name, table, ax)
    panel = EXPERIMENTS[name]
    if panel.axis:
        ax.set(xlabel=f"{panel.axis} ({seeds_in_words(means(table).values())})")
    ax.set(title=panel_title(name, preset))
    return ax


def panel_title(name: str, preset: str) -> str:
    """What a panel is called, such as "Fig. 3(a), printed: learning rate"; the others have it on their axis."""
    panel = EXPERIMENTS[name]
    varied = "" if panel.axis else f": {panel.title.lower()}"
    return f"Fig. {name[3]}({name[4]}), {preset}{varied}"


def draw_tables(tables: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """The panels of a figure, from their results by preset and panel."""
    panels = [(preset, name, table) for preset, of in tables.items() for name, table in of.items()]
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    size = (WIDTH_INCHES * columns, HEIGHT_INCHES * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax, (preset, name, table) in zip(axes.flat, panels, strict=True):
        draw_panel(name, table, ax, preset)
    return figure


def show_panel(name: str, found: Results) -> None:
    """In a notebook: a panel under each preset, and under it the verdicts on what the paper says of this panel alone.

    Nothing is shown where the results do not have the panel, and no verdicts where they are not at the paper's scale.
    """
    tables = {preset: {name: of[name]} for preset, of in found.tables.items() if name in of}
    if tables:
        draw_tables(tables)
        plt.show()
        print(verdicts_on(name, tables) if found.profile == "paper" else found.scale)


def save_figures(out: Path, names: Iterable[str] = ()) -> list[Path]:
    """Writes figures, by default all, as SVG and PNG and returns the files.

    Raises:
        MissingRuns: runs that a figure needs are not stored under any preset.
    """
    use_style()
    written = []
    for name in names or FIGURES:
        figure = draw_tables(stored_tables(FIGURES[name]))
        for kind in KINDS:
            content = BytesIO()
            figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            written.append(out / f"{name}.{kind}")
            write_atomically(written[-1], content.getvalue())
        plt.close(figure)
    return written
