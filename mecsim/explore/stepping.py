"""Algorithm 1 one removal at a time: what each BS has on its hands before and after, as numbers and as a figure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim import physics
from mecsim.agents.base import Offer
from mecsim.contest import Contest
from mecsim.experiments.plots import BS_COLOURS
from mecsim.explore.canvas import blank
from mecsim.explore.fates import Trace
from mecsim.physics import Array, Ints
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.system import SystemState

MUTED = "#9A9A9A"
NEXT_COLOUR = "#D55E00"
TIMES = 4
"""Times the CPU of a BS at which the axis of what is needed ends; a higher bar is cut off there."""


class Look(NamedTuple):
    """The tasks between two removals.

    Attributes:
        placement: the BS of each task, -1 where it is out, (n_devices,).
        key: what line 6 goes by, see `mecsim.contest.Standing`, (n_devices,).
        need_hz: what each task counts in (10), infinite where it is hopeless, (n_devices,).
        used_hz: the CPU that the tasks on each BS need, the hopeless left out, (n_bs,).
        hopeless: how many tasks on each BS cannot meet their deadline, (n_bs,).
    """

    placement: Ints
    key: Array
    need_hz: Array
    used_hz: Array
    hopeless: Ints


def look(
    scenario: Scenario,
    state: SystemState,
    offer: Offer,
    trace: Trace,
    count: int,
    settings: Refinement | None = None,
) -> Look:
    """What Algorithm 1 has before it after the first `count` removals.

    With the reading `one-shot`, delays and priorities are those of after line 2, as there they are for line 6.
    """
    settings = settings or Refinement()
    placement = trace.placement_after(count)
    line_2 = sum(removal.line == 2 for removal in trace.removals)
    sending = trace.placement_after(min(count, line_2)) if settings.reading == "one-shot" else placement
    contest = Contest.of(scenario, state, trace.offered, settings, offer.cpu_share, offer.shielded)
    key, need = contest.standing(contest.heard_w(sending >= 0))
    able = (placement >= 0) & (key > 0)
    used = physics.cpu_used_hz(placement, np.where(able, need, 0.0), scenario.n_bs)
    lost = np.bincount(placement[(placement >= 0) & ~able], minlength=scenario.n_bs)
    return Look(placement, key, np.where(key > 0, need, np.inf), used, lost)


def in_words(trace: Trace, count: int, seen: Look) -> str:
    """The last removal, and what comes next, as one or two sentences."""
    total = len(trace.removals)
    kept = int((seen.placement >= 0).sum())
    if count == 0:
        return f"Line 1 offers {kept} tasks. Lines 2 to 8 make {total} removals; none has been made yet."
    last = trace.removals[count - 1]
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


def draw_step(
    state: SystemState, trace: Trace, count: int, seen: Look, figure: Figure | None = None
) -> Figure:
    """The CPU asked of each BS against what it has, and the priorities on the BS of the next removal.

    Args:
        state: the slot.
        trace: Algorithm 1 on an offer.
        count: removals made.
        seen: the tasks after them, see `look`.
        figure: where to draw; a new one by default.
    """
    figure = figure or blank(8.4, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=(3, 4))
    figure.subplots_adjust(left=0.08, right=0.99, bottom=0.16, top=0.91, wspace=0.24)
    _cpu(left, state, seen)
    following = trace.removals[count] if count < len(trace.removals) else None
    shown = trace.removals[count - 1].bs if following is None and count else 0
    _priorities(right, trace, count, seen, shown if following is None else following.bs)
    return figure


def _cpu(ax: Axes, state: SystemState, seen: Look) -> None:
    stations, top = np.arange(len(state.cpu_hz)), TIMES * state.cpu_hz.max() / 1e9
    colours = [BS_COLOURS[bs % len(BS_COLOURS)] for bs in stations]
    ax.bar(stations, np.minimum(seen.used_hz / 1e9, top), color=colours, width=0.86)
    ax.hlines(state.cpu_hz / 1e9, stations - 0.45, stations + 0.45, color="black", lw=2)
    for bs, used in enumerate(seen.used_hz / 1e9):
        told = f"{(seen.placement == bs).sum()} tasks\n{used:.1f} GHz"
        told += f"\n{seen.hopeless[bs]} hopeless" if seen.hopeless[bs] else ""
        beyond = used > 0.75 * top  # no room for the words above the bar
        ax.annotate(
            told,
            (bs, min(used, top)),
            xytext=(0, -4 if beyond else 3),
            textcoords="offset points",
            ha="center",
            va="top" if beyond else "bottom",
            color="white" if beyond else "black",
            size=9,
        )
    ax.set_xticks(stations, [f"BS-{bs + 1}" for bs in stations])
    ax.set(ylabel="CPU asked (GHz), line: available", ylim=(0, top))
    ax.yaxis.label.set_size(10)
    ax.grid(axis="x", visible=False)


def _priorities(ax: Axes, trace: Trace, count: int, seen: Look, bs: int) -> None:
    """The priorities on one BS from the lowest up, the next to go marked."""
    members = np.flatnonzero(seen.placement == bs)
    ranked = members[np.argsort(seen.key[members], kind="stable")]
    heights = np.maximum(seen.key[ranked], 0.0) * 1e9
    ax.bar(range(len(ranked)), heights, color=MUTED, width=0.8)
    if count < len(trace.removals):
        task = trace.removals[count].task
        place = int(np.flatnonzero(ranked == task)[0])
        ax.annotate(
            f"next: device {task + 1}\n({trace.removals[count].why})",
            (place, heights[place]),
            xytext=(12, 45),
            textcoords="offset points",
            color=NEXT_COLOUR,
            arrowprops={"arrowstyle": "->", "color": NEXT_COLOUR},
        )
        ax.patches[place].set_color(NEXT_COLOUR)
    ax.set(xlabel=f"tasks on BS-{bs + 1}, lowest priority first", ylabel="priority ϱ (award per GHz)")
    ax.set_title("hopeless tasks have none" if (seen.key[members] <= 0).any() else "", size=10)
    ax.margins(y=0.25)
    ax.grid(axis="x", visible=False)
