"""What if one device decided otherwise? Asked of the twin, which changes nothing by answering."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim import physics
from mecsim.explore.canvas import blank
from mecsim.refinement import Refinement, refine_discrete
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, Outcome, SystemState, uplink
from mecsim.twin import DigitalTwin

DISCARD = -1
"""The choice not to offload; the others are the BSs 0..N-1."""
CASES = ("before", "after", "Algorithm 1 again")
PARTS = {"uplink": "#0072B2", "link": "#E69F00", "compute": "#009E73"}
BLAMED = "#D55E00"


class Case(NamedTuple):
    """One action and what the twin predicts of it."""

    action: Action
    outcome: Outcome


class Answer(NamedTuple):
    """One device's decision before and after.

    Attributes:
        device: its index.
        before: the action as it was.
        after: the same but for this device.
        refined: what lines 2-8 of Algorithm 1 make of that.
    """

    device: int
    before: Case
    after: Case
    refined: Case

    @property
    def lost(self) -> int:
        """Other tasks that were paid before and are not after."""
        return int(
            np.delete(self.before.outcome.completed & ~self.after.outcome.completed, self.device).sum()
        )


def ask(
    twin: DigitalTwin, action: Action, device: int, choice: int, settings: Refinement | None = None
) -> Answer:
    """What changes in the current slot if one device chooses another BS, or to discard its task.

    Args:
        twin: whom to ask; it is not changed.
        action: what everybody does.
        device: index of the device.
        choice: the BS that is to compute its task, or `DISCARD`.
        settings: what the paper leaves open in Algorithm 1.

    Raises:
        SettingError: there is no such device or BS.
    """
    scenario, state = twin.scenario, twin.state
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
    refined = refine_discrete(scenario, state, changed.placement, settings)
    return Answer(device, *(Case(one, twin.what_if(one)) for one in (action, changed, refined)))


def with_choice(scenario: Scenario, state: SystemState, action: Action, device: int, choice: int) -> Action:
    """The action with one device's choice changed, and nothing else.

    The device is given l of (18), or all CPU of the BS where no CPU can meet its deadline. The others keep what they
    have; where the BS has then promised too much, (10) is kept by cutting all shares (A23).
    """
    placement, cpu_hz = action.placement.copy(), action.cpu_hz.copy()
    placement[device], cpu_hz[device] = choice, 0.0
    if choice >= 0 and choice != action.placement[device]:
        sent = uplink(scenario, state, placement >= 0)
        link = physics.link_delay_s(state.size_bits, placement, scenario.cell, state.link_bps)
        slack = physics.slack_s(state.deadline_s, sent.delay_s, link)[device]
        least = float(physics.required_cpu_hz(state.cycles[device], slack))
        cpu_hz[device] = min(least, state.cpu_hz[choice])
    elif choice >= 0:
        cpu_hz[device] = action.cpu_hz[device]
    return Action(placement, cpu_hz)


def in_words(scenario: Scenario, state: SystemState, answer: Answer) -> str:
    """The answer in a few sentences."""
    device, before, after = answer.device, answer.before, answer.after
    change = after.outcome.income - before.outcome.income
    told = (
        f"Device {device + 1} of BS-{scenario.cell[device] + 1}, award {state.award[device]:.2f}: "
        f"{_choice(before, device)} before, {_choice(after, device)} now"
    )
    told += f"; {_fate(state, answer.after, device)}." if after.action.placement[device] >= 0 else "."
    others = f" {answer.lost} other tasks are no longer paid." if answer.lost else ""
    return (
        f"{told}{others} Income of the slot: {before.outcome.income:.1f} before, {after.outcome.income:.1f} after "
        f"({change:+.1f}), {answer.refined.outcome.income:.1f} if Algorithm 1 sorts it out again."
    )


def _choice(case: Case, device: int) -> str:
    bs = case.action.placement[device]
    return f"on BS-{bs + 1}" if bs >= 0 else "discarded"


def _fate(state: SystemState, case: Case, device: int) -> str:
    """Is the task paid, and if not, why?"""
    if case.outcome.completed[device]:
        return "it is paid"
    if not case.outcome.powered[device]:
        return f"its {1e3 * state.energy_j[device]:.1f} mJ are not enough to send it"
    return "it is late"


def draw_answer(state: SystemState, answer: Answer, figure: Figure | None = None) -> Figure:
    """The device's delay and energy, and the income of the slot, before and after.

    Args:
        state: the slot.
        answer: what `ask` says.
        figure: where to draw; a new one by default.
    """
    figure = figure or blank(8.4, 3.1)
    delay, energy, income = figure.subplots(1, 3, sharey=True, width_ratios=(5, 3, 3))
    figure.subplots_adjust(left=0.18, right=0.985, bottom=0.26, top=0.86, wspace=0.1)
    cases = (answer.before, answer.after, answer.refined)
    _draw_delay(delay, state, answer.device, cases)
    spent = [1e3 * case.outcome.spent_j[answer.device] for case in cases]
    energy.barh(range(3), spent, 0.6, color="#E69F00")
    energy.axvline(1e3 * state.energy_j[answer.device], color="black", lw=1.5)
    energy.set_xlabel("energy spent (mJ),\nline: stored")
    income.barh(range(3), [case.outcome.income for case in cases], 0.6, color="#0072B2")
    for row, case in enumerate(cases):
        income.annotate(
            f"{case.outcome.income:.1f}",
            (0, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            color="white",
        )
    income.set_xlabel("income of the slot")
    delay.set_yticks(range(3), CASES)
    delay.set_ylim(2.6, -0.6)
    for ax in (delay, energy, income):
        ax.grid(axis="y", visible=False)
        ax.xaxis.label.set_size(10)
    return figure


def _draw_delay(ax: Axes, state: SystemState, device: int, cases: tuple[Case, ...]) -> None:
    deadline = state.deadline_s[device]
    for row, case in enumerate(cases):
        if case.action.placement[device] < 0:
            ax.annotate("not offloaded", (0, row), (4, 0), textcoords="offset points", va="center", size=9)
            continue
        start = 0.0
        for part, colour in PARTS.items():
            length = min(float(getattr(case.outcome, f"{part}_s")[device]), 3 * deadline)
            ax.barh(row, length, 0.6, start, color=colour)
            start += length
        if not case.outcome.completed[device]:
            why = "late" if case.outcome.powered[device] else "no energy"
            ax.annotate(why, (start, row), (4, 0), textcoords="offset points", va="center", color=BLAMED)
    ax.axvline(deadline, color="black", lw=1.5)
    handles = [ax.barh(0, 0, color=colour) for colour in PARTS.values()]
    ax.legend(handles, PARTS, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9)
    ax.set(xlabel="delay of the task (s),\nline: deadline", xlim=(0, 1.6 * deadline))
