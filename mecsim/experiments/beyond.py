"""What is run at the paper's size beyond the paper: its parts left out, its open points, and imperfect twins."""

from __future__ import annotations

from mecsim.experiments.alternatives import ALTERNATIVES, WITH_CONTROLS
from mecsim.experiments.imperfect import IMPERFECT
from mecsim.experiments.points import FEW_SEEDS, Experiment, Point
from mecsim.experiments.sweeps import GAIN, HARVEST, Sweep

_LEARNT_OR_NOT = ("INTO", "untrained")


def _drift(title: str, sweep: Sweep, to: float, estimate: str) -> Experiment:
    """The plant changes halfway: by the policy of before, by one that goes on learning, and had it always been so.

    all-on also decides by a twin that has not been updated: its `estimate` is as large as before the change.
    """
    shift = sweep.changes(to)
    return Experiment(
        title,
        (
            Point("before", half=True),
            Point("after, not trained further", half=True, shift=shift),
            Point("after, trained further", shift=shift),
            Point("trained there", ("INTO", "all-on"), shift),
            Point("twin not updated", ("all-on",), shift, deviation={estimate: 1.0 / to}),
        ),
        most_seeds=FEW_SEEDS,
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
        most_seeds=FEW_SEEDS,
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
    **IMPERFECT,
    "drift-gain": _drift("The gains fall to 0.4 halfway", GAIN, 0.4, "gain_bias"),
    "drift-harvest": _drift("The harvests fall to 0.4 halfway", HARVEST, 0.4, "harvest_bias"),
}
