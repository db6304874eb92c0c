"""The widgets of notebook 13: each a shell around the pure functions of one module of this package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

import ipywidgets

from mecsim.agents.base import Offer
from mecsim.explore import comparing, picture, replay, stepping, what_if
from mecsim.explore.comparing import QUICK, THOROUGH, compare, everyone
from mecsim.explore.fates import Trace, trace
from mecsim.explore.knobs import KNOBS, scenario_at
from mecsim.explore.replay import Replay
from mecsim.explore.scenes import SLOTS, scenes, twin_of
from mecsim.explore.shell import TOGGLES, Shell, Shown, button, choice, slider, whole_slider
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.system import SystemState

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

Learners = Mapping[str, "Learner"]


def slot_explorer(learners: Learners, preset: str = "calibrated", slot: int = 20) -> Shell:
    """One slot as a picture, for any agent."""
    scenario = Scenario.preset(preset)
    agents, states = everyone(scenario, learners), scenes(scenario)

    def show(agent: str, slot: int) -> Shown:
        view = picture.slot_view(agents[agent], states[slot])
        return Shown(picture.draw_slot(scenario, view), picture.in_words(view))

    controls = {
        "agent": choice("algorithm", list(agents), next(iter(agents))),
        "slot": whole_slider("t, slot (number)", 0, SLOTS - 1, slot),
    }
    return Shell(controls, show)


def compare_explorer(learners: Learners) -> Shell:
    """Every algorithm under the parameters of section V."""

    @cache
    def usual(slots: int) -> dict[str, comparing.Standing]:
        scenario = scenario_at({})
        return compare(everyone(scenario, learners), scenario, slots)

    def show(slots: int, **values: float) -> Shown:
        scenario = scenario_at(values)
        now = compare(everyone(scenario, learners), scenario, slots)
        figure = comparing.draw_comparison(now, usual(slots), comparing.averaged(slots))
        return Shown(figure, comparing.in_words(now, usual(slots)))

    controls: dict[str, ipywidgets.ValueWidget] = {
        name: slider(knob.label, knob.low, knob.high, knob.step, knob.default) for name, knob in KNOBS.items()
    }
    worlds = len(comparing.WORLDS)
    averages = [
        (f"{QUICK * worlds} slots, at once", QUICK),
        (f"{THOROUGH * worlds} slots, takes a moment", THOROUGH),
    ]
    controls["slots"] = choice("averaged over", averages, QUICK)

    def reset() -> None:
        with shell.at_once():
            for name, knob in KNOBS.items():
                controls[name].value = knob.default

    shell = Shell(controls, show, (button("Defaults", reset, "put every parameter back"),))
    return shell


def step_explorer(learners: Learners, slot: int = 20) -> Shell:
    """Algorithm 1, one removal at a time."""

    @cache
    def scene(preset: str) -> tuple[Scenario, SystemState]:
        scenario = Scenario.preset(preset)
        return scenario, scenes(scenario, slot + 1)[-1]

    @cache
    def traced(preset: str, reading: str, agent: str) -> tuple[Offer, Refinement, Trace]:
        scenario, state = scene(preset)
        settings, offer = Refinement(reading=reading), everyone(scenario, learners)[agent].offers(state)[0]
        return offer, settings, trace(scenario, state, offer, settings)

    def show(preset: str, reading: str, agent: str, count: int) -> Shown:
        (scenario, state), (offer, settings, found) = scene(preset), traced(preset, reading, agent)
        seen = stepping.look(scenario, state, offer, found, count, settings)
        figure = stepping.draw_step(state, found, count, seen)
        return Shown(figure, stepping.in_words(found, count, seen))

    def adjust() -> None:
        chosen = (controls[name].value for name in ("preset", "reading", "agent"))
        controls["count"].max = len(traced(*chosen)[2].removals)

    def step(by: int) -> None:
        controls["count"].value += by

    one_round = [name for name in everyone(Scenario(), learners) if name != "LPWPO"]
    controls: dict[str, ipywidgets.ValueWidget] = {
        "preset": choice("preset", ["calibrated", "printed"], "calibrated"),
        "reading": choice("reading of line 5 (A8)", ["reassess", "one-shot"], "reassess"),
        "agent": choice("the offer is that of", one_round, "all-on"),
        "count": whole_slider("removals made (number)", 0, Scenario().n_devices, 0),
    }
    buttons = (
        button("Back", partial(step, -1), "take the last removal back"),
        button("Next", partial(step, 1), "make the next removal"),
        button("To the end", partial(step, Scenario().n_devices), "make all removals"),
    )
    return Shell(controls, show, buttons, adjust)


def replay_explorer(training: Replay, slot: int | None = None) -> Shell:
    """A stored training, played back."""
    last = len(training.income) - 1

    def show(slot: int) -> Shown:
        now = replay.moment(training, slot)
        return Shown(replay.draw_replay(training, now), replay.in_words(training, now))

    def jump(by: int) -> None:
        controls["slot"].value += by

    controls = {"slot": whole_slider("t, training slot (number)", 0, last, last if slot is None else slot)}
    buttons = (
        button("100 back", partial(jump, -100), "100 slots earlier"),
        button("100 on", partial(jump, 100), "100 slots later"),
    )
    return Shell(controls, show, buttons)


def what_if_explorer(
    learners: Learners, preset: str = "calibrated", slot: int = 20, device: int = 0
) -> Shell:
    """One device decides otherwise, and the twin says what comes of it."""
    scenario = Scenario.preset(preset)
    agents, state = everyone(scenario, learners), scenes(scenario, slot + 1)[-1]
    twin = twin_of(scenario, state)
    acted = cache(lambda agent: agents[agent].act(state))
    looked_at: list[tuple[str, int]] = []

    def show(agent: str, device: int, choice: int) -> Shown:
        answer = what_if.ask(twin, acted(agent), device - 1, choice)
        return Shown(what_if.draw_answer(state, answer), what_if.in_words(scenario, state, answer))

    def adjust() -> None:
        now = (controls["agent"].value, controls["device"].value)
        if looked_at != [now]:  # another device: start from what it does
            looked_at[:] = [now]
            controls["choice"].value = int(acted(now[0]).placement[now[1] - 1])

    options = [("discard", what_if.DISCARD), *((f"BS-{bs + 1}", bs) for bs in range(scenario.n_bs))]
    controls: dict[str, ipywidgets.ValueWidget] = {
        "agent": choice("what everybody does", list(agents), "OLNPO"),
        "device": whole_slider("j, device (number)", 1, scenario.n_devices, device + 1),
        "choice": ipywidgets.ToggleButtons(options=options, description="its task", style=TOGGLES),
    }
    return Shell(controls, show, adjust=adjust)
