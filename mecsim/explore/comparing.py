"""Every algorithm in one scenario: how many devices of each cell it offloads, and what it earns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim.agents import Agent, make_agent
from mecsim.experiments.plots import AGENT_COLOURS, BS_COLOURS
from mecsim.explore.canvas import blank
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

WORLDS = tuple(range(2_000_000, 2_000_004))
"""Seeds of the worlds that are played: none that anybody trains or is evaluated in."""
WARM_UP = 10
"""Slots under all-on before the agents take over, in which the energy queues fill."""
QUICK, THOROUGH = 1, 25
"""Slots that each agent then decides in each world: for an instant answer, and for one worth quoting."""


class Standing(NamedTuple):
    """One algorithm in one scenario, means over slots and worlds.

    Attributes:
        income: per slot.
        offloading: devices of each cell whose task is offloaded, (n_bs,).
    """

    income: float
    offloading: Array


def everyone(scenario: Scenario, learners: Mapping[str, Learner] | None = None) -> dict[str, Agent]:
    """Every algorithm for a scenario, in the order of all legends.

    Args:
        scenario: the system.
        learners: the trained or untrained agents by name, see `mecsim.explore.trained`; those not given are left out.
    """
    from mecsim.experiments.policies import deployed

    learners = learners or {}
    agents: dict[str, Agent] = {}
    for name in AGENT_COLOURS:
        if name in learners:
            agents[name] = deployed(learners[name], scenario)
        elif name not in LEARNT:
            agents[name] = make_agent(name, scenario)
    return agents


LEARNT = ("INTO", "DDQN", "untrained")
"""Those with a network."""


def compare(agents: Mapping[str, Agent], scenario: Scenario, slots: int = QUICK) -> dict[str, Standing]:
    """Lets every agent decide in the same slots of the same worlds, from the same energy on.

    Each world runs `WARM_UP` slots under all-on. From there on each agent lives in a copy of its own for `slots` slots.

    Args:
        agents: by name.
        scenario: of all worlds.
        slots: decided by each agent in each world.
    """
    start = PhysicalSystem(scenario, WORLDS)
    rollout(make_agent("all-on", scenario), start, WARM_UP)
    found = {}
    for name, agent in agents.items():
        record = rollout(agent, deepcopy(start, {id(scenario): scenario}), slots)
        found[name] = Standing(float(record.income.mean()), record.offloading.mean(axis=(0, 1)))
    return found


def averaged(slots: int) -> str:
    """Over what the numbers of `compare` are means, in words."""
    return f"mean of {slots * len(WORLDS)} slots: {slots} in each of {len(WORLDS)} worlds"


def draw_comparison(
    now: Mapping[str, Standing], usual: Mapping[str, Standing], told: str = "", figure: Figure | None = None
) -> Figure:
    """The devices that offload, by cell, and the income of every algorithm; a tick shows the defaults.

    Args:
        now: what `compare` finds.
        usual: the same at the defaults.
        told: over what the means are, see `averaged`.
        figure: where to draw; a new one by default.
    """
    figure = figure or blank(8.4, 3.7)
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.11, right=0.985, bottom=0.15, top=0.86, wspace=0.08)
    names = list(now)
    rows = np.arange(len(names))
    _draw_offloading(left, rows, now, usual)
    incomes = [now[name].income for name in names]
    right.barh(rows, incomes, 0.62, color=[AGENT_COLOURS[name] for name in names])
    _ticks(right, rows, [usual[name].income for name in names])
    for row, income in zip(rows, incomes, strict=True):
        right.annotate(
            f"{income:.0f}", (0, row), (4, 0), textcoords="offset points", va="center", color="white"
        )
    right.set(xlabel="income per slot", ylim=(len(names) - 0.4, -0.6))
    left.set_yticks(rows, names)
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
    figure.text(0.985, 0.93, f"{told}\n| at the defaults", ha="right", va="center", size=9, color="#555555")
    return figure


def _draw_offloading(
    ax: Axes, rows: Array, now: Mapping[str, Standing], usual: Mapping[str, Standing]
) -> None:
    counts = np.array([one.offloading for one in now.values()])
    starts = counts.cumsum(axis=1) - counts
    for bs in range(counts.shape[1]):
        colour = BS_COLOURS[bs % len(BS_COLOURS)]
        ax.barh(rows, counts[:, bs], 0.62, starts[:, bs], color=colour, label=f"BS-{bs + 1}")
    longest = max(*counts.sum(axis=1), *(one.offloading.sum() for one in usual.values()))
    for row, each in zip(rows, counts, strict=True):  # one text a row: texts take most of the time
        ax.text(1.04 * longest, row, " + ".join(f"{count:.0f}" for count in each), va="center", size=9)
    ax.set_xlim(0, 1.4 * longest)
    _ticks(ax, rows, [usual[name].offloading.sum() for name in now])
    ax.set(xlabel="devices of each cell that offload")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9, handlelength=1)


def _ticks(ax: Axes, rows: Array, values: list[float]) -> None:
    """A tick at each row's value at the defaults."""
    ax.vlines(values, rows - 0.42, rows + 0.42, color="black", lw=1.6)


def in_words(now: Mapping[str, Standing], usual: Mapping[str, Standing]) -> str:
    """Who earns most and least, and whom the change has hit most, as a sentence."""
    ranked = sorted(now, key=lambda name: now[name].income, reverse=True)
    best, worst = ranked[0], ranked[-1]
    change = {name: now[name].income - usual[name].income for name in now}
    most = max(change, key=lambda name: abs(change[name]))
    moved = f" {most} has moved most from the defaults, by {change[most]:+.1f}." if change[most] else ""
    return f"{best} earns most, {now[best].income:.1f} a slot, {worst} least, {now[worst].income:.1f}.{moved}"
