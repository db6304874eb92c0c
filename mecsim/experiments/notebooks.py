"""The parameters that papermill may set in a notebook, checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from mecsim.scenario import Positive, PresetName
from mecsim.settings import Hidden, SettingError, Settings, Whole, as_number


class Parameters(Settings):
    """Base of a notebook's parameters: every field is a variable of its cell tagged `parameters`."""

    @classmethod
    def of(cls, namespace: dict[str, Any]) -> Self:
        """The parameters as a notebook's variables stand; call it with `globals()`.

        Raises:
            SettingError: papermill injected a name that is no parameter, or a value is not allowed.
        """
        for name in cls._injected(namespace.get("In", [])):
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise SettingError(f"{name!r} is no parameter of this notebook: they are {known}.")
        values = {name: namespace[name] for name in cls.model_fields if name in namespace}
        for name, field in cls.model_fields.items():
            if name in values:
                values[name] = str(values[name]) if field.annotation is str else _numbers(values[name])
        return cls(**values)

    @classmethod
    def _injected(cls, cells: list[str]) -> list[str]:
        """The names that papermill set: in the cell that it puts right after the one with the parameters."""
        for cell, following in pairwise(cells):
            if cls.model_fields.keys() <= set(_ASSIGNED.findall(cell)):
                return _ASSIGNED.findall(following) if following.startswith("# Parameters\n") else []
        return []


_ASSIGNED = re.compile(r"^(\w+) = ", re.MULTILINE)


def _numbers(value: Any) -> Any:
    """A value with its numbers as numbers: YAML, and so papermill, reads 5e9 as text."""
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return as_number(value)


class WalkParameters(Parameters):
    """Parameters of the notebooks that walk through the model.

    Attributes:
        preset: which scenario.
        seed: seed of the world.
        slots: slots simulated where a figure needs time.
    """

    preset: PresetName
    seed: Annotated[int, Field(ge=0)]
    slots: Whole


class ExploreParameters(Parameters):
    """Where the static figures of notebook 13 look.

    Attributes:
        slot: which slot of the world shown.
        device: which device asks "what if", counted from 1.
        training_slot: which slot of the stored training.
    """

    slot: Annotated[int, Field(ge=0, lt=60)]
    device: Annotated[int, Field(ge=1, le=165)]
    training_slot: Annotated[int, Field(ge=0, lt=2000)]


class OwnTraining(Parameters):
    """A training of the reader's own.

    Attributes:
        learning_rate: of actor and critic.
        gamma: discount factor.
        slots: slots trained.
        seeds: how many seeds, counted from 0.
        actor_hidden, critic_hidden: neurons in each hidden layer.
    """

    learning_rate: Positive
    gamma: Annotated[float, Field(ge=0, lt=1)]
    slots: Whole
    seeds: Whole
    actor_hidden: Hidden
    critic_hidden: Hidden


class TrainingParameters(OwnTraining):
    """Parameters of the notebook on training: also which scenario."""

    preset: PresetName


class StoredParameters(Parameters):
    """Parameters of the notebooks that show stored runs.

    Attributes:
        preset: "both" for calibrated and printed, or one scenario.
        changes: fields of the scenario that differ at every point.
    """

    preset: Literal["both", PresetName]
    changes: dict[str, Any]

    @property
    def presets(self) -> list[str]:
        """The scenarios to draw."""
        return ["calibrated", "printed"] if self.preset == "both" else [self.preset]


class FigureParameters(StoredParameters):
    """Parameters of the notebooks that draw a figure from stored runs: also which of its panels.

    Attributes:
        panel: "all", or one panel, such as "6b".
    """

    panel: str

    def panels(self, known: Collection[str]) -> list[str]:
        """The experiments to draw, of those that a figure has (fig6a, fig6b, ...).

        Raises:
            SettingError: the figure has no such panel.
        """
        if self.panel == "all":
            return list(known)
        if f"fig{self.panel}" not in known:
            names = ", ".join(name.removeprefix("fig") for name in known)
            raise SettingError(f"panel = {self.panel!r} is not allowed: it should be all, or one of {names}.")
        return [f"fig{self.panel}"]


class LearningParameters(FigureParameters, OwnTraining):
    """Parameters of the notebook on Fig. 3: what to draw, and a training of the reader's own."""
