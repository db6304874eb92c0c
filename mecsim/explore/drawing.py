"""What the figures share; matplotlib keeps no list of them, so that a thousand redraws leave nothing behind."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mecsim.experiments.plots import BS_COLOURS

DPI = 100


def blank(width: float, height: float) -> Figure:
    """An empty figure of a size in inches; its axes are placed by hand, which is faster than by a layout engine."""
    layout: Any = "none"  # which matplotlib's type stubs leave out
    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


def data_url(figure: Figure) -> str:
    """The figure as the address of a PNG image that carries its own data, in about half the time of `savefig`."""
    canvas, content = FigureCanvasAgg(figure), BytesIO()
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    drawn.convert("RGB").save(content, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def bs_names(n_bs: int) -> list[str]:
    """The BSs as axes name them."""
    return [f"BS-{bs + 1}" for bs in range(n_bs)]


def bs_colours(n_bs: int) -> list[str]:
    """A colour for each BS."""
    return [BS_COLOURS[bs % len(BS_COLOURS)] for bs in range(n_bs)]


def write_beside(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Text that starts a little right of a point."""
    ax.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", **style)
