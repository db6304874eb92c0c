"""One slot of the system as a picture: who offloads where, what each BS's CPU does, and why tasks are discarded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrow

from mecsim import physics
from mecsim.agents import Agent, make_agent
from mecsim.agents.base import Offer
from mecsim.experiments.plots import SERIES_COLOURS
from mecsim.explore.drawing import MUTED, blank, bs_names
from mecsim.explore.stepping import Trace, trace
from mecsim.physics import Array, Bools
from mecsim.refinement import Refinement
from mecsim.scenario import Scenario
from mecsim.system import Action, PhysicalSystem, SystemState, outcome
from mecsim.training import states_met

SLOTS = 60
"""How many slots the explorer shows."""
SEED = 2_000_000
"""Of the world shown; nobody trains or is evaluated in it."""
Fate = Literal["at home", "at a peer", "not offered", "no energy", "hopeless", "BS full"]
"""Executed by its own BS, by another one; never on offer (line 1); or discarded, see `mecsim.explore.stepping.Why`."""
MARKS: dict[Fate, tuple[str, str, str]] = {
    "at home": ("o", SERIES_COLOURS[0], "served at home"),
    "at a peer": ("D", SERIES_COLOURS[1], "served by a peer"),
    "not offered": ("o", "none", "not offered (line 1)"),
    "no energy": ("v", SERIES_COLOURS[5], "no energy (line 2)"),
    "hopeless": ("X", SERIES_COLOURS[3], "hopeless (line 6)"),
    "BS full": ("s", SERIES_COLOURS[2], "BS full (line 6)"),
}
"""Shape, colour and words of each fate."""
OUTLINE = SERIES_COLOURS[3]
WIRE = 1.2
"""Width of a wire over which all bits of a slot would pass, where the BSs stand about 2 apart."""
LANE, CLEAR, BESIDE = 0.05, 0.16, 0.19
"""Of an arrow along a wire: how far from its middle, from the centres of the BSs, and from its own words."""
RING = 12
"""Devices on the innermost ring around a BS."""


def scenes(scenario: Scenario, slots: int = SLOTS) -> list[SystemState]:
    """The states of the first slots of a world under all-on, so that every agent can be shown the same ones."""
    return list(islice(states_met(make_agent("all-on", scenario), PhysicalSystem(scenario, SEED)), slots))


class SlotView(NamedTuple):
    """One slot under one agent: what it knows and does, and what became of each task, (n_devices,)."""

    scenario: Scenario
    state: SystemState
    action: Action
    fates: list[Fate]

    @property
    def income(self) -> float:
        """Of the slot."""
        return float(outcome(self.scenario, self.state, self.action).income)

    def used_hz(self, tasks: Bools) -> Array:
        """CPU that each BS gives to some of the tasks, (n_bs,)."""
        placement = np.where(tasks, self.action.placement, -1)
        return physics.cpu_used_hz(placement, self.action.cpu_hz, self.scenario.n_bs)

    @property
    def wired_bits(self) -> Array:
        """What passes from each BS to each other one over their wire, (n_bs, n_bs)."""
        n_bs, cell, placement = self.scenario.n_bs, self.scenario.cell, self.action.placement
        abroad, bits = (placement >= 0) & (placement != cell), np.zeros((n_bs, n_bs))
        np.add.at(bits, (cell[abroad], placement[abroad]), self.state.size_bits[abroad])
        return bits


def slot_view(agent: Agent, state: SystemState) -> SlotView:
    """What an agent does in a state, and what becomes of every task.

    Raises:
        SettingError: the agent does not tell what it offers.
    """
    return refined_slot(agent.scenario, state, agent.offers(state), agent.refinement)


def refined_slot(
    scenario: Scenario, state: SystemState, offers: Sequence[Offer], refinement: Refinement
) -> SlotView:
    """What lines 2-8 of Algorithm 1 make of what is offered to them, round by round."""
    rounds = [trace(scenario, state, offer, refinement) for offer in offers]
    return SlotView(scenario, state, rounds[-1].action, fates(rounds))


def fates(rounds: Sequence[Trace]) -> list[Fate]:
    """What became of each task in one or more rounds of Algorithm 1; a later round decides where it has the task."""
    cell, action = rounds[-1].scenario.cell, rounds[-1].action
    found: list[Fate] = ["not offered"] * len(cell)
    for one in rounds:
        for removal in one.removals:
            found[removal.task] = removal.why
    for task in np.flatnonzero(action.offload):
        found[task] = "at home" if action.placement[task] == cell[task] else "at a peer"
    return found


def describe_slot(view: SlotView) -> str:
    """The slot as one or two sentences, for whoever cannot see the picture."""
    count = Counter(view.fates)
    peers = count["at a peer"]
    others = ", ".join(f"{count[fate]} {fate}" for fate in list(MARKS)[2:] if count[fate])
    discarded = f" Not served: {others}." if others else ""
    return (
        f"Slot {view.state.slot}: income {view.income:.1f} from {count['at home'] + peers} of {len(view.fates)} tasks, "
        f"{peers} of them by a peer.{discarded}"
    )


def draw_slot(view: SlotView) -> Figure:
    """The devices around their BSs, marked by what became of their tasks, what the wires carry, and the CPU of each BS.

    A line leads from the device of an executed task to its own BS, over which all tasks go. From there an arrow as wide
    as what it carries goes to another BS.
    """
    figure = blank(6.6)
    field = figure.add_axes((0.0, 0.36, 1.0, 0.64))
    bars = figure.add_axes((0.12, 0.08, 0.86, 0.1))
    _draw_field(field, view)
    _draw_cpu(bars, view)
    served = int(view.action.offload.sum())
    told = f"income {view.income:.1f}\n{served} of {len(view.fates)} tasks served"
    figure.text(0.02, 0.985, told, va="top", size=10)
    handles, labels = field.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="center", bbox_to_anchor=(0.5, 0.29), ncols=2, frameon=False, fontsize=10
    )
    return figure


@cache
def places(devices: tuple[int, ...]) -> tuple[Array, Array]:
    """Where BSs and devices are drawn, (n_bs, 2) and (n_devices, 2): not where they are, for no equation asks."""
    turn = np.pi / 2 + 2 * np.pi * np.arange(len(devices)) / len(devices)
    stations = 1.25 * np.column_stack((np.cos(turn), 0.75 * np.sin(turn))) * (len(devices) > 1)
    return stations, np.concatenate(
        [centre + _rings(count) for centre, count in zip(stations, devices, strict=True)]
    )


def _rings(count: int) -> Array:
    """Places on rings around the origin, (count, 2)."""
    found, ring = [], 1
    while count > 0:
        here = min(count, RING + 8 * (ring - 1))
        angle = 2 * np.pi * (np.arange(here) + 0.5 * (ring % 2)) / here
        found.append((0.22 + 0.13 * (ring - 1)) * np.column_stack((np.cos(angle), np.sin(angle))))
        count, ring = count - here, ring + 1
    return np.concatenate(found)


def _draw_field(ax: Axes, view: SlotView) -> None:
    stations, devices = places(view.scenario.devices)
    links = np.argwhere(np.triu(view.scenario.link_rates_bps, 1) > 0)
    ax.add_collection(LineCollection(list(stations[links]), colors="#D0D0D0", linewidths=1.5, zorder=1))
    sent = np.flatnonzero(view.action.offload)
    lines = np.stack((devices[sent], stations[view.scenario.cell[sent]]), axis=1)
    colours = [MARKS[view.fates[task]][1] for task in sent]
    ax.add_collection(LineCollection(list(lines), colors=colours, linewidths=0.7, alpha=0.6, zorder=2))
    told = np.array(view.fates)
    for fate, (shape, colour, words) in MARKS.items():
        at = devices[told == fate]
        edge = MUTED if colour == "none" else OUTLINE
        label = f"{words}: {len(at)}"
        ax.scatter(*at.T, s=26, marker=shape, c=colour, edgecolors=edge, lw=0.7, label=label, zorder=3)
    _draw_traffic(ax, stations, view)
    ax.plot([], color=MARKS["at a peer"][1], lw=6, label="wire, Mbit in this slot")
    box = {"boxstyle": "round", "fc": "#333333", "ec": "none"}
    style = {"color": "white", "weight": "bold", "ha": "center", "va": "center", "bbox": box, "zorder": 4}
    for name, (x, y) in zip(bs_names(len(stations)), stations, strict=True):
        ax.text(x, y, name, style)
    ax.set_aspect("equal")
    ax.margins(0.04)
    ax.autoscale_view()
    ax.set_axis_off()


def _draw_traffic(ax: Axes, stations: Array, view: SlotView) -> None:
    """An arrow from BS to BS for what passes between them, each direction on its own side of the wire."""
    bits = view.wired_bits
    for source, target in np.argwhere(bits > 0):
        way = stations[target] - stations[source]
        way /= np.linalg.norm(way)
        side = np.array((way[1], -way[0]))
        start, end = stations[source] + CLEAR * way, stations[target] - CLEAR * way
        width = WIRE * bits[source, target] / view.state.size_bits.sum()
        at = {"x": (start + LANE * side)[0], "y": (start + LANE * side)[1]}
        ax.add_patch(
            FancyArrow(
                **at,
                dx=(end - start)[0],
                dy=(end - start)[1],
                width=width,
                head_width=width + 0.05,
                head_length=0.09,
                length_includes_head=True,
                color=MARKS["at a peer"][1],
                lw=0,
                zorder=2.5,
            )
        )
        middle = (start + end) / 2 + BESIDE * side
        ax.text(
            middle[0],
            middle[1],
            f"{bits[source, target] / 1e6:.1f}",
            size=10,
            ha="center",
            va="center",
            zorder=4,
        )


def _draw_cpu(ax: Axes, view: SlotView) -> None:
    stations, at_home = np.arange(view.scenario.n_bs), view.action.placement == view.scenario.cell
    own, guests, cpu = (hz / 1e9 for hz in (view.used_hz(at_home), view.used_hz(~at_home), view.state.cpu_hz))
    ax.barh(stations, own, 0.7, color=MARKS["at home"][1])
    ax.barh(stations, guests, 0.7, own, color=MARKS["at a peer"][1])
    ax.barh(stations, cpu, 0.7, fill=False, edgecolor="black")
    for bs, used in enumerate((own + guests) / cpu):
        ax.text(1.02 * cpu.max(), bs, f"{used:.0%} in use", va="center", size=10)
    ax.set_yticks(stations, bs_names(len(stations)), size=10)
    ax.set(ylim=(len(stations) - 0.5, -0.5), xlim=(0, 1.25 * cpu.max()))
    ax.set_xlabel("CPU (GHz): for its own tasks, then for those of peers", size=10)
    ax.tick_params(axis="x", labelsize=10)
    ax.grid(visible=False)
