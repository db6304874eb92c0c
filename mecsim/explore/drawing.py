"""What the figures share; matplotlib keeps no list of them, so that a thousand redraws leave nothing behind."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle
from IPython.display import display as displayed
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from mecsim.experiments.plots import BS_COLOURS

DPI, SHARP = 100, 2
"""Dots per inch, and how many times as many a page gets, whose screen may be finer."""
WIDTH = 5.6
"""Of a figure in inches: narrow enough for its words to be read on a phone, which shrinks it to its own width."""
MUTED = "#A0A0A0"
"""For what is not looked at; no agent, BS, part of a delay or series has this colour."""


def blank(height: float) -> Figure:
    """An empty figure of a height in inches; its axes are placed by hand, which is faster than by a layout engine."""
    layout: Any = "none"  # which matplotlib's type stubs leave out
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as an image, (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def png(figure: Figure) -> str:
    """The figure as a PNG image in base64, `SHARP` times as fine, in about half the time of `savefig`."""
    figure.set_dpi(SHARP * DPI)
    content = BytesIO()
    Image.fromarray(pixels(figure)).save(content, "PNG", compress_level=1)
    return base64.b64encode(content.getvalue()).decode()


WINDOW = "mecsim"


def show(image: NDArray[np.uint8], display: DisplayHandle | None, seconds: float) -> DisplayHandle | None:
    """Shows an image in the place of the one before it: in a notebook, or in a window; without a screen, nowhere.

    Args:
        image: see `pixels`.
        display: what the call before returned.
        seconds: how long a window shows it before the caller goes on.
    """
    if getattr(get_ipython(), "kernel", None) is not None:
        drawn = Image.fromarray(image)
        if display is None:
            return displayed(drawn, display_id=True)
        display.update(drawn)
    elif plt.get_backend().lower() in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        height, width, _ = image.shape
        figure = plt.figure(WINDOW, (width / DPI, height / DPI), DPI, clear=True)
        figure.figimage(image)
        plt.pause(seconds)
    return display


def close() -> None:
    """Closes the window of `show`, if there is one."""
    plt.close(WINDOW)


def bs_names(n_bs: int) -> list[str]:
    """The BSs as axes name them."""
    return [f"BS-{bs + 1}" for bs in range(n_bs)]


def bs_colours(n_bs: int) -> list[str]:
    """A colour for each BS."""
    return [BS_COLOURS[bs % len(BS_COLOURS)] for bs in range(n_bs)]


def write_beside(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Text that starts a little right of a point."""
    ax.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", **style)
