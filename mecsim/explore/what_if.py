"""What if one device decided otherwise? Asked of the twin, which changes nothing by answering."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim.experiments.plots import PART_COLOURS, SERIES_COLOURS
from mecsim.explore.drawing import blank, write_beside
from mecsim.refinement import refine_discrete
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.settings import SettingError
from mecsim.system import Action, Outcome, SystemState, least_cpu_hz
from mecsim.twin import DigitalTwin

DISCARD = -1
"""The choice not to offload; the others are the BSs 0..N-1."""
PAPER = {"fc": "white", "ec": "none", "pad": 1.5}
CASES = ("before", "after", "Algorithm 1\nagain")
PARTS = ("uplink_s", "link_s", "compute_s")
"""The parts of a delay in an `Outcome`, in the order of `PART_COLOURS`."""


class Case(NamedTuple):
    """One action and what the twin predicts of it."""

    action: Action
    outcome: Outcome


class Answer(NamedTuple):
    """One device's decision before and after.

    Attributes:
        scenario: parameters of the system.
        state: the slot.
        device: its index.
        before: the action as it was.
        after: the same but for this device.
        refined: what lines 2-8 of Algorithm 1 make of that.
    """

    scenario: Scenario
    state: SystemState
    device: int
    before: Case
    after: Case
    refined: Case

    @property
    def lost(self) -> int:
        """Other tasks that were paid before and are not after."""
        late = self.before.outcome.completed & ~self.after.outcome.completed
        return int(np.delete(late, self.device).sum())


def twin_of(scenario: Scenario, state: SystemState) -> DigitalTwin:
    """A twin that has just taken in a report of this state."""
    twin = DigitalTwin(scenario, seed=0)
    twin.update(state)
    return twin


def ask(twin: DigitalTwin, action: Action, device: int, choice: int) -> Answer:
    """What changes in the current slot if one device chooses another BS, or to discard its task.

    Args:
        twin: whom to ask; it is not changed.
        action: what everybody does.
        device: index of the device.
        choice: the BS that is to compute its task, or `DISCARD`.

    Raises:
        SettingError: there is no such device or BS, or the twin has many worlds.
    """
    scenario, state = twin.scenario, twin.state
    if twin.worlds or isinstance(scenario, ScenarioStack):
        raise SettingError(f"twin.worlds = {twin.worlds} is not allowed: it should be a twin of one world.")
    if not 0 <= device < scenario.n_devices:
        raise SettingError(
            f"device = {device!r} is not allowed: it should be between 0 and {scenario.n_devices - 1}."
        )
    if not DISCARD <= choice < scenario.n_bs:
        raise SettingError(
            f"choice = {choice!r} is not allowed: it should be {DISCARD} to discard the task, or a BS from 0 to "
            f"{scenario.n_bs - 1}."
        )
    changed = with_choice(scenario, state, action, device, choice)
    refined = refine_discrete(scenario, state, changed.placement)
    cases = (Case(one, twin.what_if(one)) for one in (action, changed, refined))
    return Answer(scenario, state, device, *cases)


def with_choice(scenario: Scenario, state: SystemState, action: Action, device: int, choice: int) -> Action:
    """The action with one device's choice changed, and nothing else.

    The device is given l of (18), or all CPU of the BS where no CPU can meet its deadline. The others keep what they
    have; where the BS has then promised too much, (10) is kept by cutting all shares (A23).
    """
    placement, cpu_hz = action.placement.copy(), action.cpu_hz.copy()
    placement[device] = choice
    if choice == DISCARD:
        cpu_hz[device] = 0.0
    elif choice != action.placement[device]:
        cpu_hz[device] = min(least_cpu_hz(scenario, state, placement)[device], state.cpu_hz[choice])
    return Action(placement, cpu_hz)


def describe_answer(answer: Answer) -> str:
    """The answer in a few sentences."""
    device, cell, award = answer.device, answer.scenario.cell, answer.state.award
    then, now, refined = (case.outcome.income for case in (answer.before, answer.after, answer.refined))
    kept = answer.after.action.placement[device] >= 0
    fate = f"; {_fate(answer)}." if kept else "."
    others = f" Other tasks that are no longer paid: {answer.lost}." if answer.lost else ""
    return (
        f"Device {device + 1} of BS-{cell[device] + 1}, award {award[device]:.2f}: {_choice(answer.before, device)} "
        f"before, {_choice(answer.after, device)} now{fate}{others} Income of the slot: {then:.1f} before, {now:.1f} "
        f"after ({now - then:+.1f}), {refined:.1f} if Algorithm 1 sorts it out again."
    )


def _choice(case: Case, device: int) -> str:
    bs = case.action.placement[device]
    return f"on BS-{bs + 1}" if bs >= 0 else "discarded"


def _fate(answer: Answer) -> str:
    """Is the task paid, and if not, why?"""
    device, result = answer.device, answer.after.outcome
    if result.completed[device]:
        return "it is paid"
    if not result.powered[device]:
        return f"its {1e3 * answer.state.energy_j[device]:.1f} mJ are not enough to send it"
    return "it is late"


def draw_answer(answer: Answer) -> Figure:
    """The device's delay and energy, and the income of the slot, before and after."""
    figure = blank(4.9)
    grid = figure.add_gridspec(2, 2, left=0.2, right=0.985, bottom=0.12, top=0.93, hspace=0.5, wspace=0.08)
    delay = figure.add_subplot(grid[0, :])
    energy, income = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    cases, device = (answer.before, answer.after, answer.refined), answer.device
    _draw_delay(delay, answer.state.deadline_s[device], device, cases)
    energy.barh(
        range(3), [1e3 * float(case.outcome.spent_j[device]) for case in cases], 0.6, color=SERIES_COLOURS[1]
    )
    energy.axvline(1e3 * answer.state.energy_j[device], color="black", lw=1.5)
    energy.set_xlabel("energy spent (mJ), line: stored")
    income.barh(range(3), [float(case.outcome.income) for case in cases], 0.6, color=SERIES_COLOURS[0])
    for row, case in enumerate(cases):
        write_beside(income, 0, row, f"{case.outcome.income:.1f}", color="white")
    income.set_xlabel("income of the slot")
    if answer.lost:
        income.set_title(f"after: {answer.lost} not paid besides", size=10)
    for ax in (delay, energy, income):
        ax.set_yticks(range(3), CASES if ax is not income else [])
        ax.set_ylim(2.6, -0.6)
        ax.grid(axis="y", visible=False)
        ax.xaxis.label.set_fontsize(10)
        ax.tick_params(axis="y", labelsize=10)
    return figure


def _draw_delay(ax: Axes, deadline_s: float, device: int, cases: tuple[Case, ...]) -> None:
    for row, (action, result) in enumerate(cases):
        if action.placement[device] < 0:
            write_beside(ax, 0, row, "not offloaded", size=9)
            continue
        start = 0.0
        for part, colour in zip(PARTS, PART_COLOURS.values(), strict=True):
            length = min(float(getattr(result, part)[device]), 3 * deadline_s)
            ax.barh(row, length, 0.6, start, color=colour)
            start += length
        if not result.completed[device]:
            why = "late" if result.powered[device] else "no energy"
            write_beside(ax, min(start, 1.3 * deadline_s), row, why, weight="bold", bbox=PAPER)
    ax.axvline(deadline_s, color="black", lw=1.5)
    handles = [ax.barh(0, 0, color=colour) for colour in PART_COLOURS.values()]
    place = {"loc": "lower left", "bbox_to_anchor": (0, 0.97), "ncols": 3}
    ax.legend(handles, list(PART_COLOURS), frameon=False, fontsize=10, **place)
    ax.set(xlabel="delay of the task (s), line: deadline", xlim=(0, 1.6 * deadline_s))
