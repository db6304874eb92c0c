"""A stored training played back: what it had earned by a slot, and what the policy decided around it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim.experiments.plots import AGENT_COLOURS, SERIES_COLOURS
from mecsim.experiments.results import MissingRuns
from mecsim.experiments.statistics import WINDOW, trailing_mean
from mecsim.experiments.studies import studied
from mecsim.explore.drawing import blank, bs_colours, bs_names
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.settings import SettingError

AROUND = 25
"""Slots before and after the one shown that count as around it."""
EVERY = 10
"""Slots between two points of a curve."""
SHARES = {
    "offered (line 1)": (SERIES_COLOURS[0], "-"),
    "with energy (line 2)": (SERIES_COLOURS[1], "--"),
    "executed (line 8)": (SERIES_COLOURS[2], ":"),
}
"""What can be said of a task, and the colour and the dashes of its share."""


class Playback(NamedTuple):
    """The decisions of one training, slot by slot.

    Attributes:
        income: (slots,).
        shares: of all tasks, those of which each of `SHARES` can be said, (slots,).
        offered_to, executed_on: tasks offered to each BS, and executed there, (slots, n_bs).
    """

    income: Array
    shares: dict[str, Array]
    offered_to: Array
    executed_on: Array

    def around(self, slot: int) -> slice:
        """The slots that count as around one.

        Raises:
            SettingError: the training has no such slot.
        """
        slots = len(self.income)
        if not 0 <= slot < slots:
            raise SettingError(f"slot = {slot!r} is not allowed: it should be between 0 and {slots - 1}.")
        return slice(max(slot - AROUND, 0), min(slot + AROUND + 1, slots))


def stored_playback(preset: str = "calibrated", seed: int = 0) -> Playback:
    """The decisions of the stored training at the paper's size.

    Raises:
        MissingRuns: it is not stored; the message says how to compute it.
    """
    table = studied("decisions", preset)
    table = table[table["seed"] == seed]
    if table.empty:
        raise MissingRuns(f"the study decisions is not stored for seed {seed} of the preset {preset}.")
    by_slot = table.pivot_table(index="slot", columns="metric", values="value").sort_index()
    scenario = Scenario.preset(preset)
    offered_to, executed_on = (
        by_slot[[f"{what} {name}" for name in bs_names(scenario.n_bs)]].to_numpy()
        for what in ("offered to", "executed on")
    )
    tasks = (by_slot["offered"].to_numpy(), by_slot["powered"].to_numpy(), executed_on.sum(axis=1))
    shares = {name: count / scenario.n_devices for name, count in zip(SHARES, tasks, strict=True)}
    return Playback(by_slot["income"].to_numpy(), shares, offered_to, executed_on)


def describe_training(training: Playback, slot: int) -> str:
    """A slot of a training in two sentences."""
    here, running = training.around(slot), trailing_mean(training.income)[slot]
    offered, powered, executed = (share[here].mean() for share in training.shares.values())
    return (
        f"Slot {slot}: income {training.income[slot]:.1f}, {running:.1f} on average over the last {WINDOW} slots. In "
        f"slots {here.start} to {here.stop - 1} the policy offers {offered:.0%} of the tasks; {powered:.0%} have the "
        f"energy, {executed:.0%} are executed."
    )


def draw_training(training: Playback, slot: int) -> Figure:
    """The learning curve up to a slot, and what the policy offers and Algorithm 1 keeps around it."""
    figure, here = blank(6.6), training.around(slot)
    curves = figure.add_gridspec(2, 1, left=0.13, right=0.985, bottom=0.43, top=0.96, hspace=0.12)
    bars = figure.add_gridspec(1, 1, left=0.13, right=0.985, bottom=0.05, top=0.31)
    _draw_income(figure.add_subplot(curves[0]), training, slot)
    _draw_shares(figure.add_subplot(curves[1]), training, slot)
    _draw_stations(figure.add_subplot(bars[0]), training, here)
    return figure


def _draw_income(ax: Axes, training: Playback, slot: int) -> None:
    slots, running = np.arange(len(training.income)), trailing_mean(training.income)
    ax.plot(slots[::EVERY], running[::EVERY], color="#DDDDDD", lw=1.5)
    ax.plot(slots[: slot + 1], running[: slot + 1], color=AGENT_COLOURS["INTO"], lw=1.8)
    ax.plot([slot], [running[slot]], "o", color=AGENT_COLOURS["INTO"])
    ax.set_title(f"slot {slot}: {running[slot]:.1f}", size=10)
    ax.axvline(slot, color="black", lw=0.8)
    ax.set(ylabel=f"income (mean of {WINDOW})", xlim=(0, len(slots) - 1), xticklabels=[], ylim=(0, None))
    ax.yaxis.label.set_fontsize(10)


def _draw_shares(ax: Axes, training: Playback, slot: int) -> None:
    slots = np.arange(len(training.income))
    for name, share in training.shares.items():
        percent = 100 * trailing_mean(share, AROUND)
        colour, dashes = SHARES[name]
        ax.plot(slots[::EVERY], percent[::EVERY], dashes, color=colour, lw=2, label=name)
    ax.axvline(slot, color="black", lw=0.8)
    ax.set(xlabel="training slot", ylabel="share of tasks (%)", xlim=(0, len(slots) - 1), ylim=(0, 125))
    ax.yaxis.label.set_fontsize(10)
    ax.legend(loc="upper center", ncols=3, frameon=False, fontsize=10, handlelength=1.4, columnspacing=0.7)


def _draw_stations(ax: Axes, training: Playback, here: slice) -> None:
    offered_to, executed_on = (one[here].mean(axis=0) for one in (training.offered_to, training.executed_on))
    n_bs = len(offered_to)
    ax.bar(range(n_bs), offered_to, 0.7, color=bs_colours(n_bs), alpha=0.3)
    ax.bar(range(n_bs), executed_on, 0.7, color=bs_colours(n_bs))
    style = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center"}
    for bs, (offered, executed) in enumerate(zip(offered_to, executed_on, strict=True)):
        ax.annotate(f"{offered:.0f} offered", (bs, offered), size=10, **style)
        ax.annotate(f"{executed:.0f}", (bs, executed), size=10, **style)
    ax.set_xticks(range(n_bs), bs_names(n_bs))
    ax.set(ylabel="tasks per slot", ylim=(0, 1.2 * max(offered_to.max(), 1)))
    ax.set_title(f"slots {here.start} to {here.stop - 1}, pale: offered, full: executed", size=10)
    ax.yaxis.label.set_fontsize(10)
    ax.grid(axis="x", visible=False)
