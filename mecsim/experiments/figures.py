"""The paper's figures, drawn from the stored runs."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from mecsim.evaluation import trailing_mean
from mecsim.experiments.results import curves, results
from mecsim.experiments.store import write_atomically
from mecsim.plotting import plot_curves, use_style


def fig3(preset: str = "calibrated") -> Figure:
    """Fig. 3: the income of INTO while it trains, for the learning rates and the discount factors."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
    for ax, name, symbol in zip(axes, ("fig3a", "fig3b"), ("learning rate", "discount factor"), strict=True):
        shown = {
            label: trailing_mean(incomes) for label, incomes in curves(results(name, preset=preset)).items()
        }
        plot_curves(shown, ax)
        ax.set_title(symbol)
    axes[1].set(ylabel="")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {"fig3": fig3}


def save_figures(out: Path) -> list[Path]:
    """Writes every figure as SVG and PNG and returns the files.

    Raises:
        MissingRuns: runs that a figure needs are not stored.
    """
    use_style()
    written = []
    for name, draw in FIGURES.items():
        figure = draw()
        for kind in ("svg", "png"):
            content = BytesIO()
            figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            written.append(out / f"{name}.{kind}")
            write_atomically(written[-1], content.getvalue())
        plt.close(figure)
    return written
