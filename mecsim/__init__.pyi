"""The public names of mecsim, each with the room that it lives in; `mecsim/__init__.py` loads them from here."""

from . import physics
from .agents.base import AGENTS, Agent, Offer, make_agent
from .agents.ddqn import DDQN, DDQNSettings
from .agents.into import INTO, INTOSettings
from .mdp import Encoder
from .refinement import (
    Discards,
    ProtoAction,
    Refinement,
    discards,
    fit_capacity,
    keep_affordable,
    nearest_discrete,
    refine,
    refine_discrete,
)
from .scenario import PRESETS, Scenario, ScenarioStack
from .settings import SettingError
from .system import (
    Action,
    Outcome,
    PhysicalSystem,
    SystemState,
    feasible,
    least_cpu_hz,
    outcome,
    stream,
    uplink,
)
from .training import Callback, Rollout, rollout, states_met, train
from .twin import Deviation, DigitalTwin

__version__: str

__all__ = [
    "AGENTS",
    "DDQN",
    "INTO",
    "PRESETS",
    "Action",
    "Agent",
    "Callback",
    "DDQNSettings",
    "Deviation",
    "DigitalTwin",
    "Discards",
    "Encoder",
    "INTOSettings",
    "Offer",
    "Outcome",
    "PhysicalSystem",
    "ProtoAction",
    "Refinement",
    "Rollout",
    "Scenario",
    "ScenarioStack",
    "SettingError",
    "SystemState",
    "discards",
    "feasible",
    "fit_capacity",
    "keep_affordable",
    "least_cpu_hz",
    "make_agent",
    "nearest_discrete",
    "outcome",
    "physics",
    "refine",
    "refine_discrete",
    "rollout",
    "states_met",
    "stream",
    "train",
    "uplink",
]
