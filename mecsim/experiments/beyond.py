"""What is run at the paper's size beyond the paper: its parts left out, its open points, and imperfect twins."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mecsim.experiments.alternatives import ALTERNATIVES, WITH_CONTROLS
from mecsim.experiments.points import Experiment, Point
from mecsim.experiments.sweeps import GAIN, HARVEST, Sweep
from mecsim.scenario import Scenario

FEW_SEEDS = 3
"""Seeds of the experiments with many points, and of the study of the drift."""

_LEARNT_OR_NOT = ("INTO", "untrained")
_RULES = ("all-on", "OLNPO")


def _deviations(
    title: str,
    axis: str,
    points: dict[float, dict[str, Any]],
    trained: Collection[float] = (),
    **refinement: str,
) -> Experiment:
    """Rules that decide by twins which deviate from the plant ever more, and INTO trained in some of these twins."""
    return Experiment(
        title,
        tuple(
            Point(
                f"{x:g}", WITH_CONTROLS if x in trained else _RULES, deviation=one, refinement=refinement, x=x
            )
            for x, one in points.items()
        ),
        axis,
        ("calibrated",),
        FEW_SEEDS,
    )


def _one(field: str, *values: float) -> dict[float, dict[str, Any]]:
    return {value: {field: value} for value in values}


def _outdated(field: str, *factors: float) -> dict[float, dict[str, Any]]:
    """The twin believes in some times the value that holds."""
    holds = getattr(Scenario(), field)

    def believed(factor: float) -> Any:
        return tuple(factor * end for end in holds) if isinstance(holds, tuple) else factor * holds

    return {factor: {"outdated": {field: believed(factor)}} if factor != 1 else {} for factor in factors}


def _drift(title: str, sweep: Sweep, to: float) -> Experiment:
    """The plant changes halfway: by the policy of before, by one that goes on learning, and had it always been so."""
    shift = sweep.changes(to)
    return Experiment(
        title,
        (
            Point("before", half=True),
            Point("after, not trained further", half=True, shift=shift),
            Point("after, trained further", shift=shift),
            Point("trained there", ("INTO", "all-on"), shift),
        ),
    )


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
    ),
    "assumptions": Experiment(
        "One alternative to each default",
        (
            Point("default", (*WITH_CONTROLS, "DDQN")),
            *(Point(one.name, one.agents, one.changes, one.settings, one.refinement) for one in ALTERNATIVES),
        ),
        presets=("calibrated",),
        most_seeds=FEW_SEEDS,
    ),
    "twin-gain-noise": _deviations(
        "Noise on the gains",
        "standard deviation of log h",
        _one("gain_noise", 0, 0.05, 0.1, 0.2, 0.4),
        trained=(0, 0.05, 0.2),
    ),
    "twin-gain-bias": _deviations(
        "Bias of the gains",
        "estimated h over h",
        _one("gain_bias", 0.7, 0.9, 1, 1.02, 1.1),
        trained=(0.7, 1, 1.02),
    ),
    "twin-harvest-noise": _deviations(
        "Noise on the harvests",
        "standard deviation of log e",
        _one("harvest_noise", 0, 0.2, 0.4),
        trained=(0, 0.4),
    ),
    "twin-harvest-bias": _deviations(
        "Bias of the harvests",
        "estimated e over e",
        _one("harvest_bias", 0.7, 0.9, 1, 1.1, 1.3),
        trained=(0.7, 1, 1.3),
    ),
    "twin-stale": _deviations(
        "Stale states",
        "slots between updates",
        _one("update_every", 1, 2, 5, 10, 20),
        trained=(1, 2, 5, 20),
    ),
    "twin-outdated-gain": _deviations(
        "Outdated gains",
        "believed mean of h over its mean",
        _outdated("mean_gain", 0.25, 0.5, 1, 2, 4),
        trained=(0.25, 1, 4),
    ),
    "twin-outdated-harvest": _deviations(
        "Outdated harvests",
        "believed e over e",
        _outdated("harvest_w", 0.25, 0.5, 1, 2, 4),
        trained=(0.25, 1, 4),
    ),
    "twin-caution": _deviations(
        "Caution under noise of 0.2 on the gains",
        "estimated h over h",
        {bias: {"gain_noise": 0.2, "gain_bias": bias} for bias in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)},
    ),
    "twin-pro-rata": _deviations(
        "Noise on the gains, the rest of the CPU shared (A10)",
        "standard deviation of log h",
        _one("gain_noise", 0, 0.05, 0.1, 0.2, 0.4),
        cpu="pro rata",
    ),
    "drift-gain": _drift("The gains fall to 0.4 halfway", GAIN, 0.4),
    "drift-harvest": _drift("The harvests fall to 0.4 halfway", HARVEST, 0.4),
}
