"""Twins that deviate from their plant: rules that decide by ever worse ones, and INTO trained in some of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mecsim.experiments.points import FEW_SEEDS, Experiment, Point
from mecsim.scenario import Scenario

PRESET = ("calibrated",)


def _by_rules(
    title: str, axis: str, deviations: dict[float, dict[str, Any]], **refinement: str
) -> Experiment:
    """Rules that decide by what the twin tells, at each place on the axis."""
    points = tuple(
        Point(f"{x:g}", ("all-on", "OLNPO"), refinement=refinement, deviation=deviation, x=x)
        for x, deviation in deviations.items()
    )
    return Experiment(title, points, axis, PRESET, FEW_SEEDS)


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

TRAINED_AT = {
    "twin-gain-noise": (0, 0.05, 0.2),
    "twin-gain-bias": (0.7, 1, 1.02),
    "twin-harvest-noise": (0, 0.4),
    "twin-harvest-bias": (0.7, 1, 1.3),
    "twin-stale": (1, 2, 5, 20),
    "twin-outdated-gain": (0.25, 1, 4),
    "twin-outdated-harvest": (0.25, 1, 4),
}
"""The places on these axes at which INTO is trained as well."""

IMPERFECT = {
    **BY_RULES,
    "into-in-twins": Experiment(
        "INTO trained in twins that deviate",
        tuple(
            replace(point, label=f"{name} {point.label}", agents=("INTO",))
            for name, places in TRAINED_AT.items()
            for point in BY_RULES[name].points
            if point.x in places
        ),
        presets=PRESET,
        most_seeds=FEW_SEEDS,
    ),
}
