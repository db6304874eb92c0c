"""Batches of states and actions for the tests of what steps many twins at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mecsim.refinement import ProtoAction, Refinement
from mecsim.system import Action, Outcome, SystemState

OF_THE_PAPER = [
    Refinement(reading=reading, hopeless=hopeless, cpu=cpu)
    for reading in ("reassess", "one-shot")
    for hopeless in ("worst slack", "lowest index")
    for cpu in ("least", "pro rata", "actor")
]
"""What `mecsim.reference.literal` can do as well."""
EVERY_SETTING = [
    *OF_THE_PAPER,
    Refinement(energy="one by one"),
    Refinement(energy="one by one", stations="last first", reading="one-shot"),
    Refinement(energy="off"),
    Refinement(stations="last first", cpu="pro rata"),
]


def stacked(states: Sequence[SystemState]) -> SystemState:
    """States of one scenario as those of a fleet."""
    names = [name for name in vars(states[0]) if name not in ("slot", "cpu_hz", "link_bps")]
    return replace(states[0], **{name: np.stack([getattr(one, name) for one in states]) for name in names})


def stacked_protos(protos: Sequence[ProtoAction]) -> ProtoAction:
    """Proto-actions as those of a fleet."""
    return ProtoAction(
        *(None if values[0] is None else np.stack(values) for values in zip(*protos, strict=True))
    )


def alone(batch: Any, twin: int) -> dict[str, Any]:
    """The arrays of one twin in a batch of states, actions or outcomes."""
    shared = ("slot", "cpu_hz", "link_bps") if isinstance(batch, SystemState) else ()
    return {name: value if name in shared else value[twin] for name, value in vars(batch).items()}


def assert_same_bits(batch: SystemState | Action | Outcome, singles: Sequence[Any]) -> None:
    """Each twin of a batch holds what the record of a single one holds, bit for bit."""
    for twin, single in enumerate(singles):
        for name, value in alone(batch, twin).items():
            expected = np.asarray(getattr(single, name))
            assert np.asarray(value).dtype == expected.dtype, name
            assert np.array_equal(value, expected), (name, twin)
