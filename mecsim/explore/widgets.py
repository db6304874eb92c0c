"""The widgets of notebook 13: a shell of controls around a picture, and one for each module of this package."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from html import escape
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, get_args

import ipywidgets
from IPython import get_ipython
from IPython.display import Markdown
from matplotlib.figure import Figure
from traitlets import Int

from mecsim.explore import comparing, playback, slots, stepping, what_if
from mecsim.explore.comparing import KNOBS, QUICK, THOROUGH, Knob, compare, everyone, scenario_at
from mecsim.explore.drawing import DPI, WIDTH, bs_names, png
from mecsim.explore.slots import SLOTS, scenes
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

Learners = Mapping[str, "Learner"]
Reading = Literal["reassess", "one-shot"]
ONE_AT_A_TIME = RLock()
"""JupyterLab lets a kernel answer several widgets at once, in threads; here one picture is drawn after the other."""
READY, BUSY = "Ready.", "Working …"
WIDE = ipywidgets.Layout(flex="1 1 280px", width="auto", margin="2px 12px 2px 0")
LABELLED = {"description_width": "42%"}
SLIDES = {"continuous_update": False, "style": LABELLED, "layout": WIDE}
"""A slider tells its value when it is let go."""
TOGGLES = {"button_width": "70px"}
CSS = f"""<style>
.mecsim-explorer .widget-inline-hbox {{ height: auto; align-items: center; }}
.mecsim-explorer .widget-inline-hbox > .widget-label {{ white-space: normal; height: auto; line-height: 1.25; }}
.mecsim-explorer .widget-readout {{ min-width: 3em; }}
.mecsim-words {{ line-height: 1.4; }}
.mecsim-controls {{ flex: 1 1 300px; min-width: 0; align-content: flex-start; }}
.mecsim-shown {{ flex: 0 1 {WIDTH * DPI:.0f}px; min-width: 0; }}
[data-voila] #rendered_cells > div {{ max-width: 960px; margin: 0 auto; }}
[data-voila] .jp-RenderedMarkdown > * {{ max-width: 48em; }}
</style>"""
"""A long label takes two lines instead of losing its end; controls stand beside the picture where there is room; a page
of Voilà's is no wider than can be read."""
KEYS = """<script>
addEventListener('keydown', ({ target, key, ctrlKey, metaKey }) => {
    if (target.closest('.mecsim-explorer'))
        target.toggleAttribute('data-lm-suppress-shortcuts', key !== 's' || !(ctrlKey || metaKey));
}, true);
</script>"""
"""A key pressed in a control is no shortcut of JupyterLab's, which would leave, insert or delete a cell; saving is."""


def draw_inline() -> None:
    """Lets a notebook show figures that pyplot does not know; in a script it does nothing."""
    shell = get_ipython()
    if shell is not None:
        shell.run_line_magic("matplotlib", "inline")


def how_to_use() -> Markdown:
    """Says how to use the controls: in a notebook, or on a page of Voilà's, which has run it already."""
    on_a_page = os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
    first = "Every picture has its controls beside it or above it." if on_a_page else RUN_FIRST
    return Markdown(f"**How to use it.** {first} {BY_HAND}")


RUN_FIRST = """Run all cells (menu *Run*, *Run All Cells*). Then every picture has its controls beside it or above it.
`voila notebooks/13_explore.ipynb` makes a page without code (`pip install -e '.[explore]'` has it).\n\n"""
BY_HAND = """The controls work with the mouse and with the keyboard. *Tab* goes from one to the next, the arrow keys
move a slider or change a choice, *Space* presses a button. The picture is redrawn when you let go of a slider. The line
above it says whether it is still computing."""

Shown = tuple[Figure, str]
"""A picture, and the same in words for whoever cannot see it."""


class Shell(ipywidgets.VBox):
    """Controls beside a picture that is drawn anew when one of them changes; where no kernel runs, the picture alone.

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
        stored: the same for where no kernel runs, by kind of content.
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
        self.stored: dict[str, str] = {}
        self._show, self._adjust, self._quiet = show, adjust, False
        row = ipywidgets.Layout(display="flex", flex_flow="row wrap", width="100%")
        given = ipywidgets.Box([*self.controls.values(), *buttons], layout=row)
        shown = ipywidgets.VBox([self.status, self.picture])
        keys = {"output_type": "display_data", "data": {"text/html": KEYS}, "metadata": {}}
        super().__init__(
            [
                ipywidgets.Box(
                    [given.add_class("mecsim-controls"), shown.add_class("mecsim-shown")], layout=row
                ),
                ipywidgets.HTML(CSS),
                ipywidgets.Output(outputs=(keys,)),
            ]
        )
        self.add_class("mecsim-explorer")
        for control in self.controls.values():
            control.observe(self.update, "value")
        self.update()

    def update(self, _change: Any = None) -> None:
        """Draws the picture for the controls' values."""
        with ONE_AT_A_TIME, _garbage_kept():
            if self._quiet:
                return
            self._tell(BUSY)
            try:
                with self.held():
                    self._adjust()
                figure, words = self._show(**{name: control.value for name, control in self.controls.items()})
            except Exception as error:  # the last border before the reader, who is to see no traceback
                self._tell(" ".join(str(error).split()) or f"{type(error).__name__}.")
                return
            self.stored = {"image/png": png(figure), "text/plain": words}
            self.picture.value = (
                f'<img src="data:image/png;base64,{self.stored["image/png"]}" alt="{escape(words)}" '
                f'width="{WIDTH * DPI:.0f}" style="max-width:100%;height:auto">'
                f'<p class="mecsim-words" role="status">{escape(words)}</p>'
            )
            self._tell(READY)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What IPython shows: the controls, or what is stored where nobody can show them, as wide as it was drawn."""
        shown = (super()._repr_mimebundle_(**kwargs) or {}) | self.stored
        return shown, {"image/png": {"width": round(WIDTH * DPI)}}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Draws nothing anew inside, whatever changes."""
        with ONE_AT_A_TIME:
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


def slider(label: str, low: int, high: int, value: int) -> ipywidgets.IntSlider:
    """A slider for whole numbers."""
    return ipywidgets.IntSlider(value, low, high, description=label, **SLIDES)


class KnobSlider(ipywidgets.FloatSlider):
    """A slider for a parameter, which a press of a button puts back for good.

    While the kernel is at work the browser holds a slider's next value back and sends it after a press that came later,
    and JupyterLab hands what widgets send to several threads. But what one slider sends arrives in order. So each press
    makes the browser stamp the slider: when the stamp is here, so is all that was set before, and it is put back again.

    Args:
        knob: the parameter.
        value: the first value.
        presses: how often it was put back.
    """

    stamp = Int(0).tag(sync=True)

    def __init__(self, knob: Knob, value: float, presses: ipywidgets.IntText) -> None:
        self.home = knob.default
        super().__init__(
            value,
            min=knob.low,
            max=knob.high,
            step=knob.step,
            description=knob.label,
            readout_format=".2f",
            **SLIDES,
        )
        ipywidgets.jsdlink((presses, "value"), (self, "stamp"))
        self.observe(self.go_home, "stamp")

    def go_home(self, _change: Any = None) -> None:
        """Back to the default."""
        self.value = self.home


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


def step_explorer(learners: Learners, slot: int = 20, removals: int = 0) -> Shell:
    """Algorithm 1, one removal at a time, after the first few of them."""

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
    count = slider("removals made (number)", 0, n_devices, removals)
    buttons = (
        mover("Back", count, -1, "take the last removal back"),
        mover("Next", count, 1, "make the next removal"),
        mover("To the end", count, n_devices, "make all removals"),
    )
    return Shell({**which, "count": count}, show, buttons, adjust)


def what_if_explorer(
    learners: Learners, preset: str = "calibrated", slot: int = 20, device: int = 0, bs: int | None = None
) -> Shell:
    """One device decides otherwise, and the twin says what comes of it; at first the BS that is given, if any."""
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
    shell = Shell(controls, show, adjust=adjust)
    if bs is not None:
        controls["choice"].value = bs
    return shell


def compare_explorer(learners: Learners, **changed: float) -> Shell:
    """Every algorithm under the parameters of section V, at first with some of them changed.

    Raises:
        SettingError: what is changed is no parameter, or a value is out of its range.
    """
    scenario_at(changed)

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
            for knob in knobs.values():
                knob.go_home()
        shell.update()
        presses.value += 1

    worlds = len(comparing.WORLDS)
    averages = [
        (f"{QUICK * worlds} slots, at once", QUICK),
        (f"{THOROUGH * worlds} slots, takes a moment", THOROUGH),
    ]
    presses = ipywidgets.IntText()
    knobs = {name: KnobSlider(knob, changed.get(name, knob.default), presses) for name, knob in KNOBS.items()}
    controls = {**knobs, "slots": choice("averaged over", averages, QUICK)}
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
