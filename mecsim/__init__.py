"""mecsim: a reproduction of digital twin-driven task offloading for collaborative mobile edge computing.

Zhang, Hu and Min, IEEE JSAC, 2023. Importing the package is quick: each name is loaded when it is first used, and
PyTorch only by what learns.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Action": "system",
    "Agent": "agents",
    "Deviation": "twin",
    "DigitalTwin": "twin",
    "PhysicalSystem": "system",
    "ProtoAction": "refinement",
    "Refinement": "refinement",
    "Scenario": "scenario",
    "SettingError": "settings",
    "SystemState": "system",
    "make_agent": "agents",
    "refine": "refinement",
    "rollout": "training",
    "train": "training",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mecsim' has no attribute {name!r}")
    return getattr(import_module(f"mecsim.{_HOMES[name]}"), name)
