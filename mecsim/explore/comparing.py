"""Every algorithm under the parameters of section V: how many devices of each cell it offloads, and what it earns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mecsim.agents import Agent, make_agent
from mecsim.experiments import panels, policies
from mecsim.experiments.plots import AGENT_COLOURS
from mecsim.explore.drawing import blank, bs_colours, bs_names, write_beside
from mecsim.physics import Array, Ints
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
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
LEARNT = ("INTO", "DDQN", "untrained")
"""The algorithms with a network."""


class Knob(NamedTuple):
    """One parameter with its range.

    Attributes:
        symbol: how the paper writes it.
        name: what it is.
        unit: of its values.
        low, high, step, default: its values.
        sweep: what a value changes; None for alpha, which the paper does not sweep.
    """

    symbol: str
    name: str
    unit: str
    low: float
    high: float
    step: float
    default: float
    sweep: panels.Sweep | None

    @property
    def label(self) -> str:
        """Symbol, name and unit."""
        return f"{self.symbol}, {self.name} ({self.unit})"

    def changes(self, value: float) -> dict[str, Any]:
        """The change to a scenario at a value; none at the default."""
        if value == self.default:
            return {}
        if self.sweep is None:
            return {"interference": value}
        return self.sweep.changes(value * self.sweep.per)


def _scale(symbol: str, name: str, sweep: panels.Sweep, step: float = 0.1) -> Knob:
    return Knob(symbol, name, "× default", min(sweep.values), max(sweep.values), step, 1.0, sweep)


KNOBS = {
    "xi": _scale("ξ", "award, BS-1", panels.AWARD),
    "zeta": _scale("ζ", "density, BS-2 and BS-3", panels.DENSITY, 0.05),
    "sigma": _scale("σ", "channel gain", panels.GAIN),
    "rho": _scale("ρ", "harvested energy", panels.HARVEST),
    "chi": _scale("χ", "task size", panels.SIZE),
    "psi": _scale("ψ", "shortest deadline", panels.DEADLINE),
    "F": Knob("F", "CPU of each BS", "GHz", 3.0, 8.0, 0.5, 5.0, panels.CPU),
    "B": Knob("B", "bandwidth", "MHz", 0.6, 2.0, 0.1, 1.0, panels.BANDWIDTH),
    "alpha": Knob("α", "interference factor", "share of eq. (3)", 0.0, 1.0, 0.01, 0.03, None),
}
"""In the order of section V; the ranges are those of its sweeps, the defaults those of `calibrated`."""


def scenario_at(values: Mapping[str, float]) -> Scenario:
    """The preset `calibrated` with some parameters changed.

    Raises:
        SettingError: there is no such parameter, or its value is out of its range.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in KNOBS:
            raise SettingError(
                f"parameter = {name!r} is not allowed: it should be one of {', '.join(KNOBS)}."
            )
        knob = KNOBS[name]
        if not knob.low <= value <= knob.high:
            raise SettingError(
                f"{name} = {value!r} is not allowed: it should be between {knob.low:g} and {knob.high:g} {knob.unit}."
            )
        changes |= knob.changes(value)
    return Scenario.preset("calibrated", **changes)


def trained_agents(folder: Path = policies.FOLDER) -> dict[str, Learner]:
    """The small stored INTO and DDQN, and INTO before its first update, by name; this imports torch.

    Raises:
        PolicyError: a file is missing, damaged, or of another agent; the message says which.
    """
    learners = {name: policies.load_policy(name, folder) for name in policies.POLICIES}
    return {**learners, "untrained": cast("Learner", policies.POLICIES["INTO"].make_agent())}


def everyone(scenario: Scenario, learners: Mapping[str, Learner] | None = None) -> dict[str, Agent]:
    """Every algorithm for a scenario, in the order of all legends; the planner keeps its first price.

    Args:
        scenario: the system.
        learners: the trained or untrained agents by name, see `trained_agents`; those not given are left out.
    """
    learners = learners or {}
    return {
        name: policies.deployed(learners[name], scenario) if name in learners else make_agent(name, scenario)
        for name in AGENT_COLOURS
        if name in learners or name not in LEARNT
    }


class Means(NamedTuple):
    """One algorithm in one scenario, means over slots and worlds.

    Attributes:
        income: per slot.
        offloading: devices of each cell whose task is offloaded, (n_bs,).
    """

    income: float
    offloading: Array


def compare(agents: Mapping[str, Agent], scenario: Scenario, slots: int = QUICK) -> dict[str, Means]:
    """Lets every agent decide in the same slots of the same worlds, from the same energy on.

    Each world runs `WARM_UP` slots under all-on. From there on each agent decides the same next `slots` slots.

    Args:
        agents: by name.
        scenario: of all worlds.
        slots: decided by each agent in each world.
    """
    system = PhysicalSystem(scenario, WORLDS)
    rollout(make_agent("all-on", scenario), system, WARM_UP)
    start, found = system.snapshot(), {}
    for name, agent in agents.items():
        system.restore(start)
        record = rollout(agent, system, slots)
        found[name] = Means(float(record.income.mean()), record.offloading.mean(axis=(0, 1)))
    return found


def describe_comparison(now: Mapping[str, Means], usual: Mapping[str, Means]) -> str:
    """Who earns most and least, and whom the change has hit most, as a sentence."""
    ranked = sorted(now, key=lambda name: now[name].income, reverse=True)
    best, worst = ranked[0], ranked[-1]
    change = {name: now[name].income - usual[name].income for name in now}
    most = max(change, key=lambda name: abs(change[name]))
    moved = f" {most} has moved most from the defaults, by {change[most]:+.1f}." if change[most] else ""
    return f"{best} earns most, {now[best].income:.1f} a slot, {worst} least, {now[worst].income:.1f}.{moved}"


def draw_comparison(now: Mapping[str, Means], usual: Mapping[str, Means], slots: int) -> Figure:
    """The devices that offload, by cell, and the income of every algorithm; a tick shows the defaults.

    Args:
        now: what `compare` finds.
        usual: the same at the defaults.
        slots: that each agent has decided in each world.
    """
    figure = blank(4.3)
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.17, right=0.985, bottom=0.13, top=0.83, wspace=0.06)
    rows, names = np.arange(len(now)), list(now)
    _draw_offloading(left, rows, now, usual)
    right.barh(
        rows, [one.income for one in now.values()], 0.62, color=[AGENT_COLOURS[name] for name in names]
    )
    at_defaults = [usual[name].income for name in names]
    _draw_ticks(right, rows, at_defaults)
    longest = max(*at_defaults, *(one.income for one in now.values()))
    for row, one in enumerate(now.values()):
        write_beside(right, longest, row, f"{one.income:.0f}", size=10)
    right.set(xlabel="income per slot", ylim=(len(names) - 0.4, -0.6), xlim=(0, 1.25 * longest))
    left.set_yticks(rows, names)
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
    told = f"| at the defaults\nmean of {slots * len(WORLDS)} slots: {slots} in each of {len(WORLDS)} worlds"
    figure.text(0.17, 0.99, told, va="top", size=10)
    return figure


def _draw_offloading(ax: Axes, rows: Ints, now: Mapping[str, Means], usual: Mapping[str, Means]) -> None:
    counts = np.array([one.offloading for one in now.values()])
    starts, n_bs = counts.cumsum(axis=1) - counts, counts.shape[1]
    for count, start, colour, label in zip(counts.T, starts.T, bs_colours(n_bs), bs_names(n_bs), strict=True):
        ax.barh(rows, count, 0.62, start, color=colour, label=label)
    at_defaults = [usual[name].offloading.sum() for name in now]
    longest = max(*counts.sum(axis=1), *at_defaults)
    for row, each in zip(rows, counts, strict=True):  # one text a row: texts take most of the time
        write_beside(ax, longest, row, "+".join(f"{count:.0f}" for count in each), size=10)
    ax.set_xlim(0, 1.6 * longest)
    _draw_ticks(ax, rows, at_defaults)
    ax.set(xlabel="devices that offload")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 0.97), ncols=3, frameon=False, fontsize=10, handlelength=1)


def _draw_ticks(ax: Axes, rows: Ints, values: list[float]) -> None:
    """A tick at each row's value at the defaults."""
    ax.vlines(values, rows - 0.42, rows + 0.42, color="black", lw=1.6)
