"""What each panel of section V runs, and what else is run at the paper's size: points, and the runs of a point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mecsim.experiments.runs import LEARNERS, Run, Setup, run_job
from mecsim.experiments.statistics import LOOKS
from mecsim.experiments.store import BUILD, DATA, Job, Store, Wanted, named
from mecsim.scenario import Scenario
from mecsim.settings import SettingError, Settings


@dataclass(frozen=True)
class Sweep:
    """One swept parameter of section V.

    Attributes:
        symbol: the paper's symbol, spelled out.
        field: the field of `Scenario` that it sets.
        values: where it is evaluated.
        stations: the BSs it applies to; all of them where None.
        axis: what an x axis says, with the unit of `per`.
        per: what a value is divided by on the axis.
    """

    symbol: str
    field: str
    values: tuple[float, ...]
    axis: str
    stations: tuple[int, ...] | None = None
    per: float = 1.0

    def changes(self, value: float, n_bs: int = 3) -> dict[str, Any]:
        """The change to a scenario at one value of the sweep."""
        scaled = range(n_bs) if self.stations is None else self.stations
        return {self.field: tuple(value if bs in scaled else 1.0 for bs in range(n_bs))}


AWARD = Sweep("xi", "award_scale", (1.0, 1.5, 2.0, 2.5, 3.0), "award scale ξ of BS-1", stations=(0,))
DENSITY = Sweep(
    "zeta", "density_scale", (1.0, 1.1, 1.2, 1.3, 1.4), "density scale ζ of BS-2 and BS-3", stations=(1, 2)
)
GAIN = Sweep("sigma", "gain_scale", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2), "channel gain scale σ")
HARVEST = Sweep("rho", "harvest_scale", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2), "harvest scale ρ")
SIZE = Sweep("chi", "size_scale", (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6), "task size scale χ")
CPU = Sweep("F", "cpu_hz", (3e9, 4e9, 5e9, 6e9, 7e9, 8e9), "CPU of each BS F (GHz)", per=1e9)
DEADLINE = Sweep("psi", "deadline_scale", (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0), "deadline scale ψ")
BANDWIDTH = Sweep(
    "B",
    "bandwidth_hz",
    (6e5, 8e5, 1e6, 1.2e6, 1.4e6, 1.6e6, 1.8e6, 2e6),
    "channel bandwidth B (MHz)",
    per=1e6,
)


PRESETS = ("calibrated", "printed")
"""The scenarios that every figure is shown under."""

BOTH: Mapping[str, int] = dict.fromkeys(PRESETS, LOOKS[0])
"""The seeds of what is decided under both presets."""
SECOND_LOOK = {**BOTH, "printed": LOOKS[1]}
"""The same, where 20 seeds under `printed` have left a claim open."""

FEW_SEEDS = 3
"""Seeds of what goes beyond the paper, where trainings or bounds are many."""


COUNTED = ("INTO", "all-on")
"""Figs 4 and 5 show INTO; all-on is the control that the calibration looked at."""

COMPARED = ("INTO", "LPWPO", "OLNPO", "DDQN")
"""The algorithms of Fig. 6."""

CONTROLS = ("all-on", "untrained")
"""What learning has to be held against: no learning."""

RIVALS = ("greedy", "thrifty", "planner")
"""What is not in the paper, for notebooks 11 and 14."""

EVERYONE = COMPARED + CONTROLS + RIVALS
WITH_CONTROLS = ("INTO", "all-on", "OLNPO")


@dataclass(frozen=True)
class Profile:
    """A scale at which experiments are run: seeds, slots, and settings of each agent that replace the paper's."""

    seeds: int
    slots: int
    evaluation_slots: int
    folder: Path
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    fewer_seeds: Mapping[str, int] = field(default_factory=dict)

    def seeds_of(self, preset: str) -> int:
        """How many seeds a preset is run with."""
        return self.fewer_seeds.get(preset, self.seeds)


class Point(Setup):
    """One curve or one place on the x axis of a panel: what its runs change, and for which agents it is run.

    Attributes:
        label: what the point is called.
        agents: who is run there; a learner is trained anew.
        half: train for half the slots only.
        late: let the world change after all slots trained, not after half of them.
        watched: write down the incomes of the training slots of agents that do not learn, too.
        x: place on the x axis; None for a curve.
        assumption: the id in the register of the assumption to which this is an alternative, if it is one.
    """

    label: str
    agents: tuple[str, ...] = ("INTO",)
    half: bool = False
    late: bool = False
    watched: bool = False
    x: float | None = None
    assumption: str = ""

    def __init__(self, label: str, agents: tuple[str, ...] = ("INTO",), **fields: Any) -> None:
        Settings.__init__(self, label=label, agents=agents, **fields)

    @property
    def name(self) -> str:
        """The assumption, if there is one, and the label."""
        return ": ".join(filter(None, (self.assumption, self.label)))

    @property
    def moves_rules(self) -> bool:
        """Can this alternative move what agents do that do not learn?"""
        return not self.evaluation and not set(self.agents) <= set(LEARNERS)

    def runs(
        self, scale: Profile, preset: str, seed: int, changes: Mapping[str, Any] | None = None
    ) -> list[Run]:
        """The runs of this point for one seed, one an agent.

        Args:
            scale: slots, and settings of the agents.
            preset: the scenario.
            seed: of the agents and their worlds.
            changes: fields of the scenario that differ at every point, unless the point itself sets them.
        """
        half = scale.slots // 2
        slots = half if self.half else scale.slots
        return [
            Run(
                **{
                    **self.setup(),
                    "changes": {**(changes or {}), **self.changes},
                    "settings": {**scale.settings.get(agent, {}), **self.settings},
                    "agent": agent,
                    "preset": preset,
                },
                slots=slots if agent in LEARNERS or self.watched else 0,
                shift_at=(slots if self.late else half) if self.shift else 0,
                evaluation_slots=scale.evaluation_slots,
                seed=seed,
            )
            for agent in self.agents
        ]


@dataclass(frozen=True)
class Experiment:
    """One panel: what it varies, its points, the presets it belongs to, and the most seeds that it is run with.

    By preset `decided` has the seeds where the paper profile has more than it asks of others.
    """

    title: str
    points: tuple[Point, ...]
    axis: str = ""
    presets: tuple[str, ...] = PRESETS
    most_seeds: int = 5
    decided: Mapping[str, int] = field(default_factory=dict)


def along(sweep: Sweep, agents: tuple[str, ...]) -> tuple[Point, ...]:
    """A point at each value of a sweep."""
    return tuple(
        Point(f"{value / sweep.per:g}", agents, changes=sweep.changes(value), x=value / sweep.per)
        for value in sweep.values
    )


def _world(assumption: str, label: str, **changes: Any) -> Point:
    return Point(label, WITH_CONTROLS, assumption=assumption, changes=changes)


def _algorithm_1(assumption: str, label: str, **refinement: Any) -> Point:
    return Point(label, WITH_CONTROLS, assumption=assumption, refinement=refinement)


def _learning(assumption: str, label: str, agent: str = "INTO", **settings: Any) -> Point:
    return Point(label, (agent,), assumption=assumption, settings=settings)


ALTERNATIVES = (
    _world("A1", "no interference", interference=0.0),
    _world("A1", "alpha = 0.1", interference=0.1),
    _world("A1", "alpha = 0.3", interference=0.3),
    _world("A1", "alpha = 1, (3) as printed", interference=1.0),
    _world("A2", "mean gain 0.2", mean_gain=0.2),
    _world("A2", "mean gain 1", mean_gain=1.0),
    _world("A2", "constant gains", fading="constant"),
    _world("A2", "fading with memory", fading="ar1"),
    _world("A2", "path loss", fading="path_loss"),
    _world("A3", "slots of 2 s", tau_s=2.0),
    _world("A3", "slots of 6 s", tau_s=6.0),
    _world("A3", "slots of 12 s", tau_s=12.0),
    _world("A4", "e in mJ", harvest_unit="energy"),
    _world("A5", "0.1 J to begin with", initial_energy_j=0.1),
    _world("A5", "a battery of 20 mJ", battery_j=0.02),
    _world("A6", "p drawn each slot", power_drawn="each slot"),
    Point("nu if all transmit", assumption="A7", changes={"state_rate": "all-transmit"}),
    Point("nu of the last slot", assumption="A7", changes={"state_rate": "last-slot"}),
    _algorithm_1("A8", "one-shot", reading="one-shot"),
    _algorithm_1("A9", "lowest index first", hopeless="lowest index"),
    _algorithm_1("A10", "rest shared pro rata", cpu="pro rata"),
    Point("the actor's f", assumption="A10", refinement={"cpu": "actor"}),
    _learning("A11", "proto-action stored", stored_action="proto"),
    _learning("A12", "no noise", noise=0.0),
    _learning("A12", "noise of 0.3", noise=0.3),
    _learning("A13", "bfloat16 products", precision="bfloat16"),
    _world("A17", "BSs in a line", links="line"),
    _world("A17", "BSs in a star", links="star"),
    _world("A17", "no links", links=()),
    _algorithm_1("A22", "energy judged one by one", energy="one by one"),
    _learning("A25", "DDQN: epsilon 0.05 from the start", "DDQN", first_epsilon=0.05),
    _algorithm_1("A27", "last BS first", stations="last first"),
    _learning("A34", "targets updated every 10 slots", target_every=10),
    _learning(
        "A34",
        "targets copied every 100 slots",
        target_every=100,
        actor_update_rate=1.0,
        critic_update_rate=1.0,
    ),
    _learning("A35", "DDQN: target copied every 100 slots", "DDQN", target_every=100, update_rate=1.0),
    _learning("A36", "mini-batches without replacement", sampling="without replacement"),
    _learning("A37", "DDQN: chosen action stored", "DDQN", stored_action="chosen"),
    Point("the twin's own devices", COUNTED, assumption="A39", evaluation={"devices": "the twin's"}),
    Point("exploring when deployed", assumption="A40", evaluation={"exploring": True}),
    Point("DDQN: exploring when deployed", ("DDQN",), assumption="A40", evaluation={"exploring": True}),
    Point(
        "LPWPO: savable tasks alone are overload",
        ("LPWPO",),
        assumption="A41",
        settings={"overload": "savable tasks"},
    ),
    _algorithm_1("A42", "one-shot, f of after the removals", reading="one-shot", one_shot_cpu="after"),
)


def _by_rules(
    title: str, axis: str, deviations: dict[float, dict[str, Any]], **refinement: str
) -> Experiment:
    """Rules that decide by what the twin tells, at each place on the axis."""
    points = tuple(
        Point(f"{x:g}", ("all-on", "OLNPO"), refinement=refinement, deviation=deviation, x=x)
        for x, deviation in deviations.items()
    )
    return Experiment(title, points, axis, ("calibrated",), FEW_SEEDS)


def _one(field: str, *values: float) -> dict[float, dict[str, Any]]:
    return {value: {field: value} for value in values}


def _outdated(field: str, *factors: float) -> dict[float, dict[str, Any]]:
    """The twin believes in some times the value that holds."""
    holds = getattr(Scenario(), field)

    def believed(factor: float) -> Any:
        return tuple(factor * end for end in holds) if isinstance(holds, tuple) else factor * holds

    return {factor: {"outdated": {field: believed(factor)}} if factor != 1 else {} for factor in factors}


NOISE = "standard deviation of log h"

BY_RULES = {
    "twin-gain-noise": _by_rules("Noise on the gains", NOISE, _one("gain_noise", 0, 0.05, 0.1, 0.2, 0.4)),
    "twin-gain-bias": _by_rules(
        "Bias of the gains", "estimated h over h", _one("gain_bias", 0.7, 0.9, 1, 1.02, 1.1)
    ),
    "twin-harvest-noise": _by_rules(
        "Noise on the harvests", "standard deviation of log e", _one("harvest_noise", 0, 0.2, 0.4)
    ),
    "twin-harvest-bias": _by_rules(
        "Bias of the harvests", "estimated e over e", _one("harvest_bias", 0.7, 0.9, 1, 1.1, 1.3)
    ),
    "twin-stale": _by_rules("Stale states", "slots between updates", _one("update_every", 1, 2, 5, 10, 20)),
    "twin-outdated-gain": _by_rules(
        "Outdated gains", "believed mean of h over its mean", _outdated("mean_gain", 0.25, 0.5, 1, 2, 4)
    ),
    "twin-outdated-harvest": _by_rules(
        "Outdated harvests", "believed e over e", _outdated("harvest_w", 0.25, 0.5, 1, 2, 4)
    ),
    "twin-caution": _by_rules(
        "Caution under noise of 0.2 on the gains",
        "estimated h over h",
        {bias: {"gain_noise": 0.2, "gain_bias": bias} for bias in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)},
    ),
    "twin-pro-rata": _by_rules(
        "Noise on the gains, the rest of the CPU shared (A10)",
        NOISE,
        _one("gain_noise", 0, 0.05, 0.1, 0.2, 0.4),
        cpu="pro rata",
    ),
}
"""A panel for each way in which a twin can be wrong, and for two remedies."""

TRAINED_AT: dict[str, tuple[float, ...]] = {
    "twin-gain-noise": (0, 0.05, 0.2),
    "twin-gain-bias": (0.7, 1, 1.02),
    "twin-harvest-noise": (0, 0.4),
    "twin-harvest-bias": (0.7, 1, 1.3),
    "twin-stale": (1, 2, 5, 20),
    "twin-outdated-gain": (0.25, 1, 4),
    "twin-outdated-harvest": (0.25, 1, 4),
}
"""The places on these axes at which INTO is trained as well."""

_LEARNT_OR_NOT = ("INTO", "untrained")


BEFORE, AFTER, TRAINED = "before", "after, not trained further", "after, trained further"
CONTROL = "after, trained on before it"


def _halfway(shift: dict[str, Any]) -> tuple[Point, ...]:
    """The plant changes halfway: by the policy of before, and by one that goes on learning."""
    return (
        Point(BEFORE, half=True),
        Point(AFTER, half=True, shift=shift),
        Point(TRAINED, shift=shift),
    )


def _drift(title: str, sweep: Sweep, to: float, estimate: str) -> Experiment:
    """The plant changes halfway, or has always been so.

    all-on also decides by a twin that has not been updated: its `estimate` is as large as before the change.
    """
    shift = sweep.changes(to)
    return Experiment(
        title,
        (
            *_halfway(shift),
            Point("trained there", ("INTO", "all-on"), changes=shift),
            Point("twin not updated", ("all-on",), changes=shift, deviation={estimate: 1.0 / to}),
        ),
        most_seeds=FEW_SEEDS,
    )


def _learning_rate(rate: float) -> Point:
    return Point(f"{rate:g}", settings={"actor_learning_rate": rate, "critic_learning_rate": rate})


def _offset(offset: float) -> Point:
    """Rewards plus a constant, with which every policy keeps its rank."""
    return Point(f"r - {-offset:g}" if offset else "r", settings={"reward_offset": offset})


def _devices(share: float) -> Point:
    """Fewer devices, and so much less CPU that as many of them go without: only the number of actions shrinks."""
    devices = tuple(round(share * number) for number in Scenario().devices)
    changes = {"devices": devices, "cpu_hz": share * Scenario().cpu_hz[0]}
    return Point(str(sum(devices)), LEARNERS, changes=changes, x=float(sum(devices)))


def _panel(title: str, sweep: Sweep, agents: tuple[str, ...], **decided: int) -> Experiment:
    return Experiment(title, along(sweep, agents), sweep.axis, decided=decided)


SECTION_V = {
    "fig3a": Experiment(
        "Learning rate", tuple(_learning_rate(rate) for rate in (1e-4, 1e-3, 1e-2)), decided=BOTH
    ),
    "fig3b": Experiment(
        "Discount factor",
        tuple(Point(f"{g:g}", settings={"gamma": g}) for g in (0.99, 0.79, 0.59)),
        decided=SECOND_LOOK,
    ),
    "fig4a": _panel("Award of BS-1's tasks", AWARD, COUNTED, **BOTH),
    "fig4b": _panel("Density of BS-2's and BS-3's tasks", DENSITY, COUNTED, printed=LOOKS[1]),
    "fig5a": _panel("Channel gain", GAIN, COUNTED),
    "fig5b": _panel("Harvested energy", HARVEST, COUNTED),
    "fig6a": _panel("Task size", SIZE, EVERYONE),
    "fig6b": _panel("Computing capacity", CPU, EVERYONE, calibrated=LOOKS[0]),
    "fig6c": _panel("Deadlines", DEADLINE, EVERYONE),
    "fig6d": _panel("Bandwidth", BANDWIDTH, EVERYONE),
    "devices": Experiment(
        "Number of devices (C17)", tuple(_devices(share) for share in (0.1, 0.25, 0.5, 1.0)), "devices"
    ),
    "change": Experiment(
        "The award of BS-1's tasks triples halfway (C19)",
        (
            *_halfway(AWARD.changes(3.0)),
            Point(CONTROL, late=True, shift=AWARD.changes(3.0)),
        ),
        decided=SECOND_LOOK,
    ),
    "unlearnt": Experiment(
        "Agents that do not learn, over the training slots (C2)",
        tuple(Point(agent, (agent,), watched=True) for agent in ("all-on", "OLNPO", "untrained", "thrifty")),
        decided=BOTH,
    ),
}
"""The panels of section V, and what its other claims need."""

BEYOND = {
    "precision": Experiment(
        "Precision of the products",
        tuple(Point(name, settings={"precision": name}) for name in ("float32", "bfloat16")),
        presets=("calibrated",),
    ),
    "ablations": Experiment(
        "INTO with a part left out",
        (
            Point("as in the paper", (*_LEARNT_OR_NOT, "all-on", "OLNPO")),
            Point("no peer offloading", _LEARNT_OR_NOT, settings={"peer_offloading": False}),
            Point("no energy step", (*_LEARNT_OR_NOT, "all-on"), refinement={"energy": "off"}),
            Point("one-shot priorities", (*_LEARNT_OR_NOT, "all-on"), refinement={"reading": "one-shot"}),
            Point("proto-action stored", settings={"stored_action": "proto"}),
        ),
        most_seeds=FEW_SEEDS,
    ),
    "assumptions": Experiment(
        "One alternative to each default",
        (
            Point("default", (*WITH_CONTROLS, "DDQN", "LPWPO")),
            *(Point(one.name, one.agents, **one.setup()) for one in ALTERNATIVES),
        ),
        presets=("calibrated",),
        most_seeds=FEW_SEEDS,
    ),
    "rewards": Experiment(
        "INTO's reward less a constant, and a reward that is a constant",
        (
            *(_offset(offset) for offset in (0.0, -0.2, -0.4, -0.45, -0.6, -1.0)),
            Point("constant", settings={"reward_slope": 0.0, "reward_offset": 0.5}),
        ),
        presets=("calibrated",),
        decided={"calibrated": 10},
    ),
    "processors": Experiment(
        f"INTO at the defaults, from seed {LOOKS[0]} on trained in stacks on a GPU",
        (Point("default"),),
        presets=("calibrated",),
        decided={"calibrated": LOOKS[1]},
    ),
    "change-clipped": Experiment(
        "The award of BS-1's tasks triples halfway, and inputs are clipped to [-1, 1] (A38)",
        (
            Point(TRAINED, shift=AWARD.changes(3.0)),
            Point(f"{TRAINED}, inputs clipped", shift=AWARD.changes(3.0), settings={"inputs": "clipped"}),
        ),
        presets=("calibrated",),
    ),
    **BY_RULES,
    "into-in-twins": Experiment(
        "INTO trained in twins that deviate",
        tuple(
            Point(f"{name} {point.label}", x=point.x, **point.setup())
            for name, places in TRAINED_AT.items()
            for point in BY_RULES[name].points
            if point.x in places
        ),
        presets=("calibrated",),
        most_seeds=FEW_SEEDS,
    ),
    "planner-fig6": Experiment(
        "The planner against thrifty at every point of Fig. 6",
        tuple(
            Point(f"{panel} {point.label}", ("thrifty", "planner"), changes=point.changes)
            for panel, experiment in SECTION_V.items()
            if panel.startswith("fig6")
            for point in experiment.points
        ),
        decided=dict.fromkeys(PRESETS, 5),
    ),
    "planner-steps": Experiment(
        "The planner step by step, at 5 GHz and at 8 GHz",
        tuple(
            Point(f"{cpu_hz / 1e9:g} GHz: {label}", (agent,), changes={"cpu_hz": cpu_hz}, settings=settings)
            for cpu_hz in (5e9, 8e9)
            for label, agent, settings in (
                ("thrifty", "thrifty", {}),
                ("search", "planner", {"level": 1.0, "exponent": 1.0, "rehearsed_slots": 0}),
                ("first price", "planner", {"rehearsed_slots": 0}),
                ("learnt price", "planner", {}),
            )
        ),
        decided=dict.fromkeys(PRESETS, 5),
    ),
    "twin-planner": Experiment(
        "Wrong twins, the rest of the CPU shared (A10)",
        tuple(
            Point(
                f"{twin}: {label}",
                agents,
                settings=settings,
                deviation=deviation,
                refinement={"cpu": "pro rata"},
            )
            for twin, deviation in (
                ("perfect", {}),
                ("5 % noise on the gains", {"gain_noise": 0.05}),
                ("updated every 5 slots", {"update_every": 5}),
            )
            for label, agents, settings in (
                ("all CPU planned", ("INTO", "all-on", "thrifty", "planner"), {}),
                ("5 % kept back", ("planner",), {"reserve": 0.05}),
                ("10 % kept back", ("planner",), {"reserve": 0.1}),
            )
        ),
        most_seeds=FEW_SEEDS,
    ),
    "drift-gain": _drift("The gains fall to 0.4 halfway", GAIN, 0.4, "gain_bias"),
    "drift-harvest": _drift("The harvests fall to 0.4 halfway", HARVEST, 0.4, "harvest_bias"),
}
"""What goes beyond the paper."""

EXPERIMENTS = {**SECTION_V, **BEYOND}
"""Every experiment by name."""

FIGURES = {
    figure: tuple(name for name in EXPERIMENTS if name.startswith(figure))
    for figure in ("fig3", "fig4", "fig5", "fig6")
}
"""The panels of each figure."""

_QUICK_INTO = {"actor_hidden": (300, 100), "critic_hidden": (150, 60)}

PROFILES = {
    "paper": Profile(
        seeds=5,
        slots=2000,
        evaluation_slots=500,
        folder=DATA / "runs",
        fewer_seeds={"printed": 3},
    ),
    "quick": Profile(
        seeds=2,
        slots=300,
        evaluation_slots=100,
        folder=BUILD / "runs",
        settings={"INTO": _QUICK_INTO, "untrained": _QUICK_INTO, "DDQN": {"hidden": (100, 60)}},
    ),
}


def runs_of(
    names: Iterable[str],
    profile: str = "paper",
    preset: str = "calibrated",
    seeds: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> list[Run]:
    """The runs of some experiments, each once, seed by seed so that a part of them is already a result.

    Args:
        names: experiments.
        profile: the scale.
        preset: the scenario.
        seeds: how many seeds, counted from 0; by default the profile's number for the preset.
        changes: fields of the scenario that differ at every point, unless the point itself sets them.

    Raises:
        SettingError: an experiment or a profile is not known.
    """
    scale = named("profile", profile, PROFILES)
    experiments = {name: named("experiment", name, EXPERIMENTS) for name in names}
    counts = {name: wanted_seeds(name, profile, preset) if seeds is None else seeds for name in experiments}
    runs = [
        run
        for seed in range(max(counts.values(), default=0))
        for name, experiment in experiments.items()
        if seed < counts[name]
        for point in experiment.points
        for run in point.runs(scale, preset, seed, changes)
    ]
    return list({run.key: run for run in runs}.values())


def wanted_seeds(name: str, profile: str, preset: str) -> int:
    """How many seeds an experiment is run with at a scale, counted from 0."""
    experiment = EXPERIMENTS[name]
    if profile == "paper" and preset in experiment.decided:
        return experiment.decided[preset]
    return min(PROFILES[profile].seeds_of(preset), experiment.most_seeds)


class RunStore(Store):
    """A folder of runs."""

    command = "mecsim run"

    def wanted(self) -> Iterator[Wanted]:
        """The runs of all experiments at the paper's scale, under each preset that they belong to."""
        for name, experiment in EXPERIMENTS.items():
            for preset in experiment.presets:
                jobs = [run_job(run) for run in runs_of([name], "paper", preset)]
                command = f"{self.command} {name} --profile paper --preset {preset}"
                yield Wanted(f"{name} under {preset}", jobs, command)

    def current(self) -> dict[str, Job]:
        """The stored runs as they are now, whatever experiment they were made for."""
        found = {}
        for name, entry in self.manifest().items():
            with suppress(SettingError):
                found[name] = replace(run_job(Run(**entry["run"])), settings=entry["run"])
        return found
