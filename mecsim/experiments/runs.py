"""One run: an agent trained in a twin and then evaluated, frozen, on fresh slots of the plant."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from mecsim.agents import Agent, AgentName, agent_class
from mecsim.experiments.provenance import NUMERICS
from mecsim.refinement import Refinement
from mecsim.scenario import PresetName, Scenario
from mecsim.settings import SettingError, Settings

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
        slots: slots trained, 0 for an agent that does not learn.
        evaluation_slots: fresh slots that the frozen agent is evaluated over.
        seed: seed of the agent and of the twin it trains in.
    """

    agent: AgentName
    preset: PresetName = "calibrated"
    changes: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    refinement: dict[str, Any] = Field(default_factory=dict)
    slots: Count = 2000
    evaluation_slots: Annotated[int, Field(ge=1)] = 500
    seed: Count = 0

    def scenario(self) -> Scenario:
        """The scenario of the run."""
        return Scenario.preset(self.preset, **self.changes)

    def make_agent(self) -> Agent:
        """The agent of the run, untrained."""
        settings = self._agent_settings()
        known = {} if settings is None else {"settings": settings}
        kind = agent_class(self.agent)
        return kind(self.scenario(), self.seed, refinement=Refinement(**self.refinement), **known)

    def resolved(self) -> dict[str, Any]:
        """The run with every default filled in, ready for JSON: the preset is gone, its numbers are there."""
        settings = self._agent_settings()
        return {
            "agent": self.agent,
            "scenario": self.scenario().model_dump(mode="json"),
            "settings": {} if settings is None else settings.model_dump(mode="json", exclude={"device"}),
            "refinement": Refinement(**self.refinement).model_dump(mode="json"),
            "slots": self.slots,
            "evaluation_slots": self.evaluation_slots,
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> str:
        """A name made from everything the result depends on; it changes when a default or the numerics do."""
        text = json.dumps({"numerics": NUMERICS, **self.resolved()}, sort_keys=True)
        return f"{self.agent}-{self.preset}-seed{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def _agent_settings(self) -> Settings | None:
        """The agent's settings, None for an agent that has none."""
        kind = agent_class(self.agent)
        if hasattr(kind, "Settings"):
            return kind.Settings(**self.settings)
        if self.settings:
            raise SettingError(f"settings = {self.settings!r} is not allowed: {self.agent} has no settings.")
        return None
