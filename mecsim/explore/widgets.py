"""The widgets of notebook 13: a shell of controls around a picture, and one for each module of this package."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

import ipywidgets
from IPython import get_ipython
from matplotlib.figure import Figure

from mecsim.explore import comparing, playback, slots, stepping, what_if
from mecsim.explore.comparing import KNOBS, QUICK, THOROUGH, compare, everyone, scenario_at
from mecsim.explore.drawing import bs_names, data_url
from mecsim.explore.slots import SLOTS, scenes
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

Learners = Mapping[str, "Learner"]
Reading = Literal["reassess", "one-shot"]
READY, BUSY = "Ready.", "Working …"
WIDE = ipywidgets.Layout(width="100%", max_width="520px", margin="2px 12px 2px 0")
LABELLED = {"description_width": "54%"}
TOGGLES = {"button_width": "70px"}
CSS = """<style>
.mecsim-explorer .widget-inline-hbox { height: auto; align-items: center; }
.mecsim-explorer .widget-inline-hbox > .widget-label { white-space: normal; height: auto; line-height: 1.25; }
</style>"""
"""A long label takes two lines instead of losing its end."""


def draw_inline() -> None:
    """Lets a notebook show figures that pyplot does not know; in a script it does nothing."""
    shell = get_ipython()
    if shell is not None:
        shell.run_line_magic("matplotlib", "inline")


Shown = tuple[Figure, str]
"""A picture, and the same in words for whoever cannot see it."""


class Shell(ipywidgets.VBox):
    """Controls over a picture that is drawn anew when one of them changes.

    Whatever goes wrong is told in one sentence over the picture; the last good picture stays.

    Args:
        controls: by the name of the argument that each gives to `show`.
        show: makes the picture; a pure function of the controls' values.
        buttons: shown under the controls.
        adjust: fits the controls to each other before a picture is drawn.

    Attributes:
        controls: by name.
        buttons: by their text.
        status: whether it is at work, or what went wrong.
        picture: the last good picture, with its words.
    """

    def __init__(
        self,
        controls: Mapping[str, ipywidgets.ValueWidget],
        show: Callable[..., Shown],
        buttons: tuple[ipywidgets.Button, ...] = (),
        adjust: Callable[[], None] = lambda: None,
    ) -> None:
        self.controls = dict(controls)
        self.buttons = {one.description: one for one in buttons}
        self.status = ipywidgets.HTML()
        self.picture = ipywidgets.HTML(layout=ipywidgets.Layout(width="100%"))
        self._show, self._adjust, self._quiet = show, adjust, False
        row = ipywidgets.Layout(display="flex", flex_flow="row wrap", width="100%")
        super().__init__(
            [
                ipywidgets.Box(list(self.controls.values()), layout=row),
                *([ipywidgets.Box(buttons, layout=row)] if buttons else []),
                self.status,
                self.picture,
                ipywidgets.HTML(CSS),
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
                with self.held():
                    self._adjust()
                figure, words = self._show(**{name: control.value for name, control in self.controls.items()})
            except Exception as error:  # the last border before the reader, who is to see no traceback
                self._tell(" ".join(str(error).split()) or f"{type(error).__name__}.")
                return
            self.picture.value = (
                f'<img src="{data_url(figure)}" alt="{escape(words)}" style="max-width:100%;height:auto">'
                f'<p class="mecsim-words" role="status">{escape(words)}</p>'
            )
            self._tell(READY)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Draws nothing anew inside, whatever changes."""
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


def slider(
    label: str, low: float, high: float, value: float, step: float | None = None
) -> ipywidgets.FloatSlider | ipywidgets.IntSlider:
    """A slider, which tells its value when it is let go; for whole numbers where no step is given."""
    usual = {"continuous_update": False, "style": LABELLED, "layout": WIDE}
    if step is None:
        return ipywidgets.IntSlider(value, low, high, description=label, **usual)
    return ipywidgets.FloatSlider(
        value, min=low, max=high, step=step, description=label, readout_format=".2f", **usual
    )


def choice(label: str, options: Any, value: Any) -> ipywidgets.Dropdown:
    """A choice of one among several."""
    return ipywidgets.Dropdown(options=options, value=value, description=label, style=LABELLED, layout=WIDE)


def button(text: str, press: Callable[[], None], tooltip: str) -> ipywidgets.Button:
    """A button."""
    made = ipywidgets.Button(description=text, tooltip=tooltip)
    made.on_click(lambda _: press())
    return made


def mover(text: str, number: ipywidgets.ValueWidget, by: int, tooltip: str) -> ipywidgets.Button:
    """A button that moves a slider by some numbers, as far as it goes."""

    def move() -> None:
        number.value += by

    return button(text, move, tooltip)


def slot_explorer(learners: Learners, preset: str = "calibrated", slot: int = 20) -> Shell:
    """One slot as a picture, for any agent."""
    scenario = Scenario.preset(preset)
    agents, states = everyone(scenario, learners), scenes(scenario)

    def show(agent: str, slot: int) -> Shown:
        view = slots.slot_view(agents[agent], states[slot])
        return slots.draw_slot(view), slots.describe_slot(view)

    controls = {
        "agent": choice("algorithm", list(agents), next(iter(agents))),
        "slot": slider("t, slot (number)", 0, SLOTS - 1, slot),
    }
    return Shell(controls, show)


def step_explorer(learners: Learners, slot: int = 20) -> Shell:
    """Algorithm 1, one removal at a time."""

    @cache
    def traced(preset: str, reading: Reading, agent: str) -> stepping.Trace:
        scenario = Scenario.preset(preset)
        state = scenes(scenario, slot + 1)[-1]
        offer = everyone(scenario, learners)[agent].offers(state)[0]
        return stepping.trace(scenario, state, offer, Refinement(reading=reading))

    def show(preset: str, reading: Reading, agent: str, count: int) -> Shown:
        found = traced(preset, reading, agent)
        return stepping.draw_step(found, count), stepping.describe_step(found, count)

    def adjust() -> None:
        count.max = len(traced(*(control.value for control in which.values())).removals)

    n_devices = Scenario().n_devices
    one_round = [name for name in everyone(Scenario(), learners) if name != "LPWPO"]
    which = {
        "preset": choice("preset", ["calibrated", "printed"], "calibrated"),
        "reading": choice("reading of line 5 (A8)", list(get_args(Reading)), "reassess"),
        "agent": choice("the offer is that of", one_round, "all-on"),
    }
    count = slider("removals made (number)", 0, n_devices, 0)
    buttons = (
        mover("Back", count, -1, "take the last removal back"),
        mover("Next", count, 1, "make the next removal"),
        mover("To the end", count, n_devices, "make all removals"),
    )
    return Shell({**which, "count": count}, show, buttons, adjust)


def what_if_explorer(
    learners: Learners, preset: str = "calibrated", slot: int = 20, device: int = 0
) -> Shell:
    """One device decides otherwise, and the twin says what comes of it."""
    scenario = Scenario.preset(preset)
    agents, state = everyone(scenario, learners), scenes(scenario, slot + 1)[-1]
    twin = what_if.twin_of(scenario, state)
    acted = cache(lambda agent: agents[agent].act(state))
    looked_at: list[tuple[str, int]] = []

    def show(agent: str, device: int, choice: int) -> Shown:
        answer = what_if.ask(twin, acted(agent), device - 1, choice)
        return what_if.draw_answer(answer), what_if.describe_answer(answer)

    def adjust() -> None:
        now = (controls["agent"].value, controls["device"].value)
        if looked_at != [now]:  # another device: start from what it does
            looked_at[:] = [now]
            controls["choice"].value = int(acted(now[0]).placement[now[1] - 1])

    options = [("discard", what_if.DISCARD), *zip(bs_names(scenario.n_bs), range(scenario.n_bs), strict=True)]
    controls: dict[str, ipywidgets.ValueWidget] = {
        "agent": choice("what everybody does", list(agents), "OLNPO"),
        "device": slider("j, device (number)", 1, scenario.n_devices, device + 1),
        "choice": ipywidgets.ToggleButtons(options=options, description="its task", style=TOGGLES),
    }
    return Shell(controls, show, adjust=adjust)


def compare_explorer(learners: Learners) -> Shell:
    """Every algorithm under the parameters of section V."""

    @cache
    def usual(slots: int) -> dict[str, comparing.Means]:
        scenario = scenario_at({})
        return compare(everyone(scenario, learners), scenario, slots)

    def show(slots: int, **values: float) -> Shown:
        scenario = scenario_at(values)
        now = compare(everyone(scenario, learners), scenario, slots)
        figure = comparing.draw_comparison(now, usual(slots), slots)
        return figure, comparing.describe_comparison(now, usual(slots))

    def reset() -> None:
        with shell.held():
            for name, knob in KNOBS.items():
                shell.controls[name].value = knob.default
        shell.update()

    worlds = len(comparing.WORLDS)
    averages = [
        (f"{QUICK * worlds} slots, at once", QUICK),
        (f"{THOROUGH * worlds} slots, takes a moment", THOROUGH),
    ]
    controls: dict[str, ipywidgets.ValueWidget] = {
        name: slider(knob.label, knob.low, knob.high, knob.default, knob.step) for name, knob in KNOBS.items()
    }
    controls["slots"] = choice("averaged over", averages, QUICK)
    shell = Shell(controls, show, (button("Defaults", reset, "put every parameter back"),))
    return shell


def playback_explorer(training: playback.Playback, slot: int | None = None) -> Shell:
    """A stored training, played back."""
    last = len(training.income) - 1

    def show(slot: int) -> Shown:
        return playback.draw_training(training, slot), playback.describe_training(training, slot)

    position = slider("t, training slot (number)", 0, last, last if slot is None else slot)
    buttons = (
        mover("100 back", position, -100, "100 slots earlier"),
        mover("100 on", position, 100, "100 slots later"),
    )
    return Shell({"slot": position}, show, buttons)
