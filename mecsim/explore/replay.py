"""A stored training played back: what it had earned by a slot, and what the policy decided around it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim.experiments.plots import AGENT_COLOURS, BS_COLOURS
from mecsim.experiments.statistics import WINDOW, trailing_mean
from mecsim.explore.canvas import blank
from mecsim.physics import Array
from mecsim.settings import SettingError

AROUND = 25
"""Slots before and after the one shown that count as around it."""
SHARES = {"offered": "#7F7F7F", "powered": "#E69F00", "executed": "#0072B2"}
WORDS = {"offered": "offered (line 1)", "powered": "with energy (line 2)", "executed": "executed (line 8)"}
EVERY = 10
"""Slots between two points of a curve."""


class Replay(NamedTuple):
    """The decisions of one training, slot by slot.

    Attributes:
        income: (slots,).
        devices: how many there are.
        offered, powered: tasks on offer after line 1, and left after line 2, (slots,).
        offered_to, executed_on: tasks offered to each BS, and executed there, (slots, n_bs).
    """

    income: Array
    devices: int
    offered: Array
    powered: Array
    offered_to: Array
    executed_on: Array

    @property
    def executed(self) -> Array:
        """Tasks left after line 8, (slots,)."""
        return self.executed_on.sum(axis=1)


class Moment(NamedTuple):
    """A slot of a training.

    Attributes:
        slot: its number.
        income: of this slot.
        running: mean income of the last slots, up to `WINDOW` of them, this one included.
        first, last: the slots that count as around it.
        offered, powered, executed: tasks around it, means per slot.
        offered_to, executed_on: the same by BS, (n_bs,).
    """

    slot: int
    income: float
    running: float
    first: int
    last: int
    offered: float
    powered: float
    executed: float
    offered_to: Array
    executed_on: Array


def stored_replay(preset: str = "calibrated", seed: int = 0) -> Replay:
    """The decisions of the stored training at the paper's size.

    Raises:
        MissingRuns: it is not stored; the message says how to compute it.
    """
    from mecsim.experiments.results import MissingRuns
    from mecsim.experiments.studies import studied
    from mecsim.scenario import Scenario

    table = studied("decisions", preset)
    table = table[table["seed"] == seed]
    if table.empty:
        raise MissingRuns(f"the study decisions is not stored for seed {seed} of the preset {preset}.")
    by_slot = table.pivot_table(index="slot", columns="metric", values="value").sort_index()
    scenario = Scenario.preset(preset)

    def of_each_bs(name: str) -> Array:
        return by_slot[[f"{name} BS-{bs + 1}" for bs in range(scenario.n_bs)]].to_numpy()

    one = {name: by_slot[name].to_numpy() for name in ("income", "offered", "powered")}
    return Replay(
        **one,
        devices=scenario.n_devices,
        offered_to=of_each_bs("offered to"),
        executed_on=of_each_bs("executed on"),
    )


def moment(replay: Replay, slot: int) -> Moment:
    """What a training had come to at a slot.

    Raises:
        SettingError: the training has no such slot.
    """
    slots = len(replay.income)
    if not 0 <= slot < slots:
        raise SettingError(f"slot = {slot!r} is not allowed: it should be between 0 and {slots - 1}.")
    first, last = max(slot - AROUND, 0), min(slot + AROUND, slots - 1)
    here = slice(first, last + 1)
    return Moment(
        slot=slot,
        income=float(replay.income[slot]),
        running=float(replay.income[max(slot - WINDOW + 1, 0) : slot + 1].mean()),
        first=first,
        last=last,
        offered=float(replay.offered[here].mean()),
        powered=float(replay.powered[here].mean()),
        executed=float(replay.executed[here].mean()),
        offered_to=replay.offered_to[here].mean(axis=0),
        executed_on=replay.executed_on[here].mean(axis=0),
    )


def in_words(replay: Replay, now: Moment) -> str:
    """A slot of a training in a sentence."""
    return (
        f"Slot {now.slot}: income {now.income:.1f}, {now.running:.1f} on average over the last {WINDOW} slots. In "
        f"slots {now.first} to {now.last} the policy offers {now.offered / replay.devices:.0%} of the tasks; "
        f"{now.powered / replay.devices:.0%} have the energy, {now.executed / replay.devices:.0%} are executed."
    )


def draw_replay(replay: Replay, now: Moment, figure: Figure | None = None) -> Figure:
    """The learning curve up to a slot, and what the policy offers and Algorithm 1 keeps.

    Args:
        replay: the training.
        now: its slot, see `moment`.
        figure: where to draw; a new one by default.
    """
    figure = figure or blank(8.4, 4.4)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(3, 2), left=0.08, right=0.985, bottom=0.12, top=0.94, wspace=0.2, hspace=0.2
    )
    curve, shares = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    _draw_income(curve, replay, now)
    _draw_shares(shares, replay, now)
    _draw_stations(figure.add_subplot(grid[:, 1]), now)
    return figure


def _draw_income(ax: Axes, replay: Replay, now: Moment) -> None:
    slots, running = np.arange(len(replay.income)), trailing_mean(replay.income)
    ax.plot(slots[::EVERY], running[::EVERY], color="#DDDDDD", lw=1.5)
    ax.plot(slots[: now.slot + 1], running[: now.slot + 1], color=AGENT_COLOURS["INTO"], lw=1.8)
    ax.plot([now.slot], [now.running], "o", color=AGENT_COLOURS["INTO"])
    ax.axvline(now.slot, color="black", lw=0.8)
    ax.set(ylabel=f"income (mean of {WINDOW})", xlim=(0, len(slots) - 1), xticklabels=[], ylim=(0, None))
    ax.yaxis.label.set_size(10)


def _draw_shares(ax: Axes, replay: Replay, now: Moment) -> None:
    slots = np.arange(len(replay.income))
    for name, colour in SHARES.items():
        share = trailing_mean(getattr(replay, name), AROUND) / replay.devices
        ax.plot(slots[::EVERY], 100 * share[::EVERY], color=colour, lw=1.5, label=WORDS[name])
    ax.axvline(now.slot, color="black", lw=0.8)
    ax.set(xlabel="training slot", ylabel="share of tasks (%)", xlim=(0, len(slots) - 1), ylim=(0, 118))
    ax.yaxis.label.set_size(10)
    ax.legend(loc="upper center", ncols=3, frameon=False, fontsize=8, handlelength=1, columnspacing=1)


def _draw_stations(ax: Axes, now: Moment) -> None:
    stations = np.arange(len(now.offered_to))
    colours = [BS_COLOURS[bs % len(BS_COLOURS)] for bs in stations]
    ax.bar(stations, now.offered_to, 0.7, color=colours, alpha=0.3)
    ax.bar(stations, now.executed_on, 0.7, color=colours)
    for bs, (offered, executed) in enumerate(zip(now.offered_to, now.executed_on, strict=True)):
        ax.annotate(
            f"{offered:.0f} offered", (bs, offered), (0, 3), textcoords="offset points", ha="center", size=9
        )
        ax.annotate(
            f"{executed:.0f}", (bs, 0), (0, 3), textcoords="offset points", ha="center", color="white"
        )
    ax.set_xticks(stations, [f"BS-{bs + 1}" for bs in stations])
    ax.set(
        ylabel="tasks per slot, pale: offered, full: executed", ylim=(0, 1.12 * max(now.offered_to.max(), 1))
    )
    ax.set_title(f"slots {now.first} to {now.last}", size=10)
    ax.yaxis.label.set_size(10)
    ax.grid(axis="x", visible=False)
