"""The alternatives to what the paper leaves open, each as the settings that carry it out (see ASSUMPTIONS.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WITH_CONTROLS = ("INTO", "all-on", "OLNPO")


@dataclass(frozen=True)
class Alternative:
    """Another choice than the default for one assumption.

    Attributes:
        assumption: its id in the register.
        label: the choice in a few words.
        agents: whose income it can move.
        changes: fields of the scenario.
        settings: fields of the learner's settings.
        refinement: fields of `Refinement`.
    """

    assumption: str
    label: str
    agents: tuple[str, ...] = WITH_CONTROLS
    changes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    refinement: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The assumption, if it is one, and the choice."""
        return ": ".join(filter(None, (self.assumption, self.label)))

    @property
    def moves_rules(self) -> bool:
        """Can it move what agents do that do not learn?"""
        return self.agents == WITH_CONTROLS


def _world(assumption: str, label: str, **changes: Any) -> Alternative:
    return Alternative(assumption, label, changes=changes)


def _algorithm_1(assumption: str, label: str, **refinement: Any) -> Alternative:
    return Alternative(assumption, label, refinement=refinement)


def _learning(assumption: str, label: str, agent: str = "INTO", **settings: Any) -> Alternative:
    return Alternative(assumption, label, (agent,), settings=settings)


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
    Alternative("A7", "nu if all transmit", ("INTO",), {"state_rate": "all-transmit"}),
    Alternative("A7", "nu of the last slot", ("INTO",), {"state_rate": "last-slot"}),
    _algorithm_1("A8", "one-shot", reading="one-shot"),
    _algorithm_1("A9", "lowest index first", hopeless="lowest index"),
    _algorithm_1("A10", "rest shared pro rata", cpu="pro rata"),
    Alternative("A10", "the actor's f", ("INTO",), refinement={"cpu": "actor"}),
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
)
