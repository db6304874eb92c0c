"""Streams: one seed, the same bits; one name, a stream of its own."""

import json

import numpy as np
import pytest

from mecsim.system import STREAMS, generator_state, restore_generator, stream


def test_the_same_seed_and_name_give_the_same_bits() -> None:
    for name in STREAMS:
        assert stream(7, name).random(100).tobytes() == stream(7, name).random(100).tobytes()


def test_other_seeds_and_other_names_give_other_numbers() -> None:
    first = {(seed, name): float(stream(seed, name).random()) for seed in range(50) for name in STREAMS}
    assert len(set(first.values())) == 50 * len(STREAMS)


def test_streams_of_one_seed_are_uncorrelated() -> None:
    draws = np.array([stream(3, name).standard_normal(20_000) for name in STREAMS])
    correlation = np.corrcoef(draws) - np.eye(len(STREAMS))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_drawing_from_one_stream_leaves_the_others_alone() -> None:
    tasks, channel = stream(1, "tasks"), stream(1, "channel")
    tasks.random(1000)
    assert channel.random(10).tobytes() == stream(1, "channel").random(10).tobytes()


def test_a_position_survives_json() -> None:
    generator = stream(5, "harvest")
    generator.random(13)
    generator.standard_normal(3)
    saved = json.dumps(generator_state(generator))
    expected = generator.standard_exponential(20)
    other = stream(6, "tasks")
    restore_generator(other, json.loads(saved))
    assert other.standard_exponential(20).tobytes() == expected.tobytes()


def test_a_bad_seed_or_name_is_refused() -> None:
    with pytest.raises(ValueError, match="seed = -1 is not allowed: it should be 0 or more"):
        stream(-1, "tasks")
    with pytest.raises(ValueError, match="weather"):
        stream(0, "weather")
