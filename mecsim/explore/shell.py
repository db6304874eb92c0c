"""The thin shell around a pure function: controls, a picture, the same in words, and whether it is at work."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

import ipywidgets as widgets
from matplotlib.figure import Figure

from mecsim.explore.canvas import data_url

READY, BUSY = "Ready.", "Working …"
WIDE = widgets.Layout(width="100%", max_width="520px", margin="2px 12px 2px 0")
LABELLED = {"description_width": "54%"}
TOGGLES = {"button_width": "70px"}
LOOK = """<style>
.mecsim-explorer .widget-inline-hbox { height: auto; align-items: center; }
.mecsim-explorer .widget-inline-hbox > .widget-label { white-space: normal; height: auto; line-height: 1.25; }
</style>"""
"""A long label takes two lines instead of losing its end."""


class Shown(NamedTuple):
    """What a control's change shows.

    Attributes:
        figure: the picture.
        words: the same for whoever cannot see it.
    """

    figure: Figure
    words: str


class Shell(widgets.VBox):
    """Controls over a picture that is drawn anew when one of them changes.

    Whatever goes wrong is told in one sentence under the picture; the last good picture stays.

    Args:
        controls: by the name of the argument that each gives to `show`.
        show: makes the picture; a pure function of the controls' values.
        buttons: shown under the controls.
        adjust: fits the controls to each other before a picture is drawn.

    Attributes:
        controls: by name.
        buttons: by their text.
        status: whether it is at work, or what went wrong.
    """

    def __init__(
        self,
        controls: Mapping[str, widgets.ValueWidget],
        show: Callable[..., Shown],
        buttons: tuple[widgets.Button, ...] = (),
        adjust: Callable[[], None] = lambda: None,
    ) -> None:
        self.controls = dict(controls)
        self.buttons = {one.description: one for one in buttons}
        self.status = widgets.HTML()
        self.picture = widgets.HTML(layout=widgets.Layout(width="100%"))
        self._show, self._adjust, self._quiet = show, adjust, False
        row = widgets.Layout(display="flex", flex_flow="row wrap", width="100%")
        super().__init__(
            [
                widgets.Box(list(self.controls.values()), layout=row),
                *([widgets.Box(buttons, layout=row)] if buttons else []),
                self.status,
                self.picture,
                widgets.HTML(LOOK),
            ]
        )
        self.add_class("mecsim-explorer")
        for control in self.controls.values():
            control.observe(self.update, "value")
        self.update()

    def update(self, _change: Any = None) -> None:
        """Draws the picture for the controls' values."""
        if self._quiet:
            return
        with _garbage_kept():
            self._tell(BUSY)
            try:
                with self._held():
                    self._adjust()
                shown = self._show(**{name: control.value for name, control in self.controls.items()})
            except Exception as error:  # the last border before the reader, who is to see no traceback
                self._tell(_sentence(error))
                return
            self.picture.value = (
                f'<img src="{data_url(shown.figure)}" alt="{escape(shown.words)}" style="max-width:100%;height:auto">'
                f'<p class="mecsim-words" role="status">{escape(shown.words)}</p>'
            )
            self._tell(READY)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Changes of several controls inside draw one picture, at the end."""
        with self._held():
            yield
        self.update()

    def close(self) -> None:
        """Lets go of the controls and everything shown."""
        for control in self.controls.values():
            control.unobserve_all()
        for one in (*self.controls.values(), *self.buttons.values(), *self.children):
            one.close()
        super().close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _tell(self, words: str) -> None:
        self.status.value = f'<span class="mecsim-status" role="status">{escape(words)}</span>'


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Puts off the collection of garbage, which can take longer than drawing a picture, until the picture is there."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _sentence(error: Exception) -> str:
    """What went wrong in one line."""
    told = " ".join(str(error).split())
    return told if told else f"{type(error).__name__}."


def slider(label: str, low: float, high: float, step: float, value: float) -> widgets.FloatSlider:
    """A slider for a number, which tells its value when it is let go."""
    return widgets.FloatSlider(
        value,
        min=low,
        max=high,
        step=step,
        description=label,
        readout_format=".2f",
        continuous_update=False,
        style=LABELLED,
        layout=WIDE,
    )


def whole_slider(label: str, low: int, high: int, value: int) -> widgets.IntSlider:
    """A slider for a whole number, which tells its value when it is let go."""
    return widgets.IntSlider(
        value,
        min=low,
        max=high,
        description=label,
        continuous_update=False,
        style=LABELLED,
        layout=WIDE,
    )


def choice(label: str, options: Any, value: Any) -> widgets.Dropdown:
    """A choice of one among several."""
    return widgets.Dropdown(options=options, value=value, description=label, style=LABELLED, layout=WIDE)


def button(text: str, press: Callable[[], None], tooltip: str) -> widgets.Button:
    """A button."""
    made = widgets.Button(description=text, tooltip=tooltip)
    made.on_click(lambda _: press())
    return made
