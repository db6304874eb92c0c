"""Algorithm 1 one removal at a time: what goes, why, and what each BS has on its hands, as numbers and as a figure."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim import physics
from mecsim.agents.base import Offer
from mecsim.experiments.plots import SERIES_COLOURS
from mecsim.explore.drawing import MUTED, blank, bs_colours, bs_names
from mecsim.physics import Array, Ints
from mecsim.refinement import Refinement, discards, fit_capacity, keep_affordable, standing
from mecsim.scenario import Scenario
from mecsim.system import Action, SystemState

NEXT_COLOUR = SERIES_COLOURS[1]
TIMES = 4
"""Times the CPU of a BS at which the axis of what is needed ends; a higher bar is cut off there."""

Why = Literal["no energy", "hopeless", "BS full"]
"""Too little energy to be sent (line 2); unable to meet its deadline when it was removed, or the lowest priority on a
BS with too little CPU (line 6)."""


class Removal(NamedTuple):
    """One task that Algorithm 1 takes out.

    Attributes:
        bs: the BS that it was offered to.
        task: index of its device.
        why: the reason, by what line 2 or line 6 saw of the task at that moment.
        key: what line 6 went by: the priority varrho in 1/Hz, or a number <= 0 for a hopeless task; NaN in line 2.
    """

    bs: int
    task: int
    why: Why
    key: float

    @property
    def line(self) -> int:
        """The line of Algorithm 1, 2 or 6."""
        return 2 if self.why == "no energy" else 6


class Trace(NamedTuple):
    """Lines 2-8 on one offer, see `trace`.

    Attributes:
        scenario: parameters of the system.
        state: the slot.
        settings: what the paper leaves open.
        offer: what line 1 leaves.
        removals: in the order in which Algorithm 1 makes them.
        action: what is left, with its CPU.
    """

    scenario: Scenario
    state: SystemState
    settings: Refinement
    offer: Offer
    removals: tuple[Removal, ...]
    action: Action

    def placement_after(self, count: int) -> Ints:
        """The placement after the first `count` removals, (n_devices,)."""
        placement = self.offer.placement.copy()
        placement[[removal.task for removal in self.removals[:count]]] = -1
        return placement


class Stage(NamedTuple):
    """The tasks between two removals.

    Attributes:
        placement: the BS of each task, -1 where it is out, (n_devices,).
        key: what line 6 goes by, see `Removal`, any number where a task is out, (n_devices,).
        used_hz: the CPU that the tasks on each BS need, the hopeless left out, (n_bs,).
        hopeless: how many tasks on each BS cannot meet their deadline, (n_bs,).
    """

    placement: Ints
    key: Array
    used_hz: Array
    hopeless: Ints


def trace(scenario: Scenario, state: SystemState, offer: Offer, settings: Refinement | None = None) -> Trace:
    """Lines 2-8 of Algorithm 1 on an offer, removal by removal."""
    settings = settings or Refinement()
    placement, cpu_share, shielded = offer
    powered = keep_affordable(scenario, state, placement, settings)
    lacking = np.flatnonzero(powered != placement)
    removals = [Removal(int(placement[task]), int(task), "no energy", np.nan) for task in lacking]
    found = discards(scenario, state, powered, settings, cpu_share, shielded)
    for task in np.argsort(found.order)[np.count_nonzero(found.order < 0) :]:
        key = float(found.key[task])
        removals.append(Removal(int(placement[task]), int(task), "BS full" if key > 0 else "hopeless", key))
    action = fit_capacity(scenario, state, powered, settings, cpu_share, shielded)
    return Trace(scenario, state, settings, offer, tuple(removals), action)


def stage(found: Trace, count: int) -> Stage:
    """What Algorithm 1 has before it after the first `count` removals.

    With the reading `one-shot`, delays and priorities are those of after line 2, as there they are for line 6.
    """
    placement, n_bs = found.placement_after(count), found.scenario.n_bs
    line_2 = sum(removal.line == 2 for removal in found.removals)
    one_shot = found.settings.reading == "one-shot"
    sending = found.placement_after(min(count, line_2)) if one_shot else placement
    key, need = standing(found.scenario, found.state, sending, found.settings, found.offer.cpu_share)
    on_bs = placement >= 0
    able = on_bs & (key > 0)
    used = physics.cpu_used_hz(placement, np.where(able, need, 0.0), n_bs)
    return Stage(placement, key, used, np.bincount(placement[on_bs & ~able], minlength=n_bs))


def describe_step(found: Trace, count: int) -> str:
    """The last of `count` removals, and what comes next, as one or two sentences."""
    total = len(found.removals)
    kept = int((found.placement_after(count) >= 0).sum())
    if count == 0:
        return f"Line 1 offers {kept} tasks. Lines 2 to 8 make {total} removals; none has been made yet."
    last = found.removals[count - 1]
    reasons = {
        "no energy": "its device lacks the energy to send it",
        "hopeless": "it could not have met its deadline",
        "BS full": f"BS-{last.bs + 1} was full and its priority of {1e9 * last.key:.2f} per GHz the lowest there",
    }
    end = " Every BS satisfies (10): done." if count == total else ""
    return (
        f"Removal {count} of {total}, line {last.line}: device {last.task + 1} leaves BS-{last.bs + 1}; "
        f"{reasons[last.why]}. {kept} tasks stay.{end}"
    )


def draw_step(found: Trace, count: int) -> Figure:
    """The CPU asked of each BS against what it has, and the priorities on the BS of the next removal.

    Args:
        found: Algorithm 1 on an offer.
        count: removals made.
    """
    figure, now = blank(5.6), stage(found, count)
    top, bottom = figure.subplots(2, 1, height_ratios=(4, 5))
    figure.subplots_adjust(left=0.14, right=0.985, bottom=0.1, top=0.95, hspace=0.3)
    top.set_title(f"after {count} of {len(found.removals)} removals", size=10, loc="left")
    _draw_asked(top, found.state.cpu_hz, now)
    here = found.removals[count : count + 1] or found.removals[-1:]  # at the end, the last one
    _draw_priorities(bottom, found, count, now, here[0].bs if here else 0)
    return figure


def _draw_asked(ax: Axes, cpu_hz: Array, now: Stage) -> None:
    stations, top = np.arange(len(cpu_hz)), TIMES * cpu_hz.max() / 1e9
    ax.bar(stations, np.minimum(now.used_hz / 1e9, top), color=bs_colours(len(cpu_hz)), width=0.5)
    ax.hlines(cpu_hz / 1e9, stations - 0.4, stations + 0.4, color="black", lw=2)
    for bs, used in enumerate(now.used_hz / 1e9):
        told = f"{(now.placement == bs).sum()} tasks\n{used:.1f} GHz"
        told += f"\n{now.hopeless[bs]} hopeless" if now.hopeless[bs] else ""
        beyond = used > 0.75 * top  # no room for the words above the bar
        ax.annotate(
            told,
            (bs, min(used, top)),
            xytext=(0, -4 if beyond else 3),
            textcoords="offset points",
            ha="center",
            va="top" if beyond else "bottom",
            color="white" if beyond else "black",
            size=10,
        )
    ax.set_xticks(stations, bs_names(len(cpu_hz)))
    ax.set(ylabel="CPU asked (GHz),\nline: available", ylim=(0, top))
    ax.yaxis.label.set_fontsize(10)
    ax.grid(axis="x", visible=False)


def _draw_priorities(ax: Axes, found: Trace, count: int, now: Stage, bs: int) -> None:
    """The priorities on one BS from the lowest up, the next to go marked."""
    members = np.flatnonzero(now.placement == bs)
    ranked = members[np.argsort(now.key[members], kind="stable")]
    heights = np.maximum(now.key[ranked], 0.0) * 1e9
    ax.bar(range(len(ranked)), heights, color=MUTED, width=0.8)
    for _, task, why, _ in found.removals[count : count + 1]:
        place = int(np.flatnonzero(ranked == task)[0])
        ax.annotate(
            f"next: device {task + 1}\n({why})",
            (place, heights[place]),
            xytext=(12, 45),
            textcoords="offset points",
            color=NEXT_COLOUR,
            arrowprops={"arrowstyle": "->", "color": NEXT_COLOUR},
        )
        ax.patches[place].set_color(NEXT_COLOUR)
    ax.set(xlabel=f"tasks on BS-{bs + 1}, lowest priority first", ylabel="priority ϱ (award per GHz)")
    ax.yaxis.label.set_fontsize(10)
    ax.set_title("hopeless tasks have none" if (now.key[members] <= 0).any() else "", size=10)
    ax.margins(y=0.25)
    ax.grid(axis="x", visible=False)
