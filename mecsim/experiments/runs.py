"""One run: an agent trained in a twin and then evaluated, frozen, on fresh slots of the plant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, field_validator

from mecsim.agents import Agent, AgentName, agent_class
from mecsim.experiments.provenance import NUMERICS
from mecsim.refinement import Refinement
from mecsim.scenario import PER_BS_FIELDS, SCALE_FIELDS, PresetName, Scenario
from mecsim.settings import Changes, FrozenDict, SettingError, Settings
from mecsim.twin import Deviation

LEARNERS = ("INTO", "DDQN")
EVALUATION_WORLDS = 1_000_000
"""Added to a run's seed to give the seed of the world it is evaluated in, the same for every agent."""

Count = Annotated[int, Field(ge=0)]


class Run(Settings):
    """Everything that a result depends on: a run is a pure function of this record.

    Attributes:
        agent: name of the agent.
        preset: name of the scenario.
        changes: fields of the scenario that differ from the preset.
        settings: fields of the agent's settings that differ from Table II.
        refinement: fields of `Refinement` that differ from its defaults.
        shift: scale fields of the scenario that change from slot `shift_at` on; the agent is not told.
        shift_at: slots trained before the shift.
        deviation: fields of `Deviation`: how the twin differs from the plant, in which the agent trains and from which
            it learns the state of the plant when it is evaluated; by default the twin is perfect.
        slots: slots trained, 0 for an agent that does not learn.
        evaluation_slots: fresh slots that the frozen agent is evaluated over.
        seed: seed of the agent and of the twin it trains in.
    """

    agent: AgentName
    preset: PresetName = "calibrated"
    changes: Changes = FrozenDict()
    settings: Changes = FrozenDict()
    refinement: Changes = FrozenDict()
    shift: Changes = FrozenDict()
    shift_at: Count = 0
    deviation: Changes = FrozenDict()
    slots: Count = 2000
    evaluation_slots: Annotated[int, Field(ge=1)] = 500
    seed: Count = 0

    @field_validator("shift")
    @classmethod
    def _scales(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value.keys() <= set(SCALE_FIELDS):
            raise ValueError(f"changes of {', '.join(SCALE_FIELDS)} alone, which an agent sees in its state")
        return value

    def scenario(self) -> Scenario:
        """The scenario of the run at its start."""
        return Scenario.preset(self.preset, **self.changes)

    def shifted(self) -> Scenario:
        """The scenario of the run at its end, in which the frozen agent is evaluated."""
        return self.scenario().replace(**self.shift)

    def believed(self) -> Scenario:
        """The scenario at the start as the twin knows it, and with it the agent."""
        return self.scenario().replace(**self.twin_deviation().outdated)

    def twin_deviation(self) -> Deviation:
        """How the twin differs from the plant."""
        return Deviation(**self.deviation)

    @property
    def perfect_twin(self) -> bool:
        """Does the twin equal the plant?"""
        return self.twin_deviation() == Deviation()

    def make_agent(self) -> Agent:
        """The agent of the run, untrained."""
        settings = self._agent_settings()
        known = {} if settings is None else {"settings": settings}
        kind = agent_class(self.agent)
        return kind(self.believed(), self.seed, refinement=Refinement(**self.refinement), **known)

    def departures(self) -> dict[str, Any]:
        """Everything that the result depends on, ready for JSON: of settings, what differs from their defaults.

        A field that is added with a default under which nothing changes leaves it as it is. A default that changes
        raises `NUMERICS`; `mecsim check` sees to that.
        """
        settings = self._agent_settings()
        shift = {"shift": _departures(self.shifted()), "shift_at": self.shift_at} if self.shift else {}
        deviation = _departures(self.twin_deviation())
        return {
            "agent": self.agent,
            "scenario": _departures(self.scenario()),
            "settings": {} if settings is None else _departures(settings, leave_out={"device"}),
            "refinement": _departures(Refinement(**self.refinement)),
            "slots": self.slots,
            "evaluation_slots": self.evaluation_slots,
            "seed": self.seed,
            **shift,
            **({"deviation": deviation} if deviation else {}),
        }

    @cached_property
    def key(self) -> str:
        """A name made from everything that the result depends on."""
        text = json.dumps({"numerics": NUMERICS, **self.departures()}, sort_keys=True)
        return f"{self.agent}-{self.preset}-seed{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def _agent_settings(self) -> Settings | None:
        """The agent's settings, None for an agent that has none."""
        kind = agent_class(self.agent)
        if hasattr(kind, "Settings"):
            return kind.Settings(**self.settings)
        if self.settings:
            raise SettingError(f"settings = {self.settings!r} is not allowed: {self.agent} has no settings.")
        return None


def _departures(settings: Settings, leave_out: Set[str] = frozenset()) -> dict[str, Any]:
    """The fields that differ from their defaults; one value for each BS counts as one for all where they are equal."""
    usual, now = type(settings)().model_dump(mode="json"), settings.model_dump(mode="json")
    for name in now.keys() & PER_BS_FIELDS:
        now[name] = now[name] if len(set(now[name])) > 1 else now[name][:1]
    return {name: value for name, value in now.items() if value != usual[name] and name not in leave_out}
