"""Random streams spawned apart by name, so that every algorithm meets the same world."""

from __future__ import annotations

from typing import Any

import numpy as np

STREAMS = (
    "devices",
    "tasks",
    "channel",
    "harvest",
    "exploration",
    "batches",
    "networks",
    "estimation",
)


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one named stream of a seed; streams of one seed are independent of each other.

    Raises:
        ValueError: `seed` is negative, or no stream has that name.
    """
    if seed < 0:
        raise ValueError(f"seed = {seed} is not allowed: it should be 0 or more.")
    if name not in STREAMS:
        raise ValueError(f"stream = {name!r} is not allowed: it should be one of {', '.join(STREAMS)}.")
    sequence = np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name),))
    return np.random.Generator(np.random.PCG64(sequence))


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The position of a generator as plain numbers and strings, ready for JSON."""
    return generator.bit_generator.state


def restore_generator(generator: np.random.Generator, state: dict[str, Any]) -> None:
    """Moves a generator to a position saved by `generator_state`."""
    generator.bit_generator.state = state
