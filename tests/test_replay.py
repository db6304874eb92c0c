"""The replay memory: a ring of the last `capacity` tuples, each with the state that followed."""

import numpy as np
import pytest
import torch

from mecsim.agents.replay import Replay

CPU = torch.device("cpu")


def state(number: int) -> np.ndarray:
    """A state that can be told from every other."""
    return np.array([number, -number], np.float32)


def filled(stored: int, capacity: int = 5, seed: int = 0) -> Replay:
    """Tuple t is (state t, action t, reward 10 t, state t + 1)."""
    replay = Replay(capacity, 2, 1, seed, CPU)
    for t in range(stored):
        replay.store(state(t), np.array([t], np.float32), 10.0 * t, state(t + 1))
    return replay


@pytest.mark.parametrize("stored", [1, 4, 5, 6, 7, 12, 100])
def test_holds_the_last_tuples_whole_and_no_other(stored) -> None:
    replay = filled(stored)
    assert len(replay) == min(stored, 5)
    batch = replay.sample(500)
    slot = batch.state[:, 0]
    assert set(slot.tolist()) == set(range(max(stored - 5, 0), stored))
    assert torch.equal(batch.state, torch.stack((slot, -slot), dim=1))
    assert torch.equal(batch.action[:, 0], slot)
    assert torch.equal(batch.reward, 10 * slot)
    assert torch.equal(batch.next_state, torch.stack((slot + 1, -slot - 1), dim=1))


@pytest.mark.parametrize("size", [1, 4, 5])
def test_without_replacement_every_tuple_is_drawn_once_at_most_and_all_are_as_likely(size) -> None:
    replay = filled(8)
    drawn = np.array([np.sort(replay.sample(size, replace=False).state[:, 0]) for _ in range(2000)], int)
    assert (np.diff(drawn, axis=1) > 0).all()
    share = size / 5
    assert np.abs(np.bincount(drawn.ravel(), minlength=8)[3:] - 2000 * share).max() <= 5 * np.sqrt(
        2000 * share * (1 - share)
    )


def test_a_batch_is_uniform_over_the_tuples() -> None:
    slot = filled(8).sample(50_000).state[:, 0].numpy()
    counts = np.bincount(slot.astype(int), minlength=8)[3:]
    assert np.abs(counts - 10_000).max() < 5 * np.sqrt(10_000 * 0.8)


def test_shapes_and_types() -> None:
    batch = filled(9).sample(4)
    assert [tuple(part.shape) for part in batch] == [(4, 2), (4, 1), (4,), (4, 2)]
    assert all(part.dtype == torch.float32 for part in batch)
    choices = Replay(5, 2, 3, 0, CPU, torch.int64)
    choices.store(state(0), np.array([2, 0, 1]), 1.0, state(1))
    assert choices.sample(1).action.tolist() == [[2, 0, 1]]
    assert choices.sample(1).action.dtype == torch.int64


@pytest.mark.parametrize("more", [0, 1, 2, 3, 4, 9])
def test_where_a_learner_goes_on_in_another_world_the_last_tuple_keeps_its_own_next_state(more) -> None:
    """After 7 tuples of one world come some of another, whose states start at 100."""
    replay = filled(7)
    for t in range(100, 100 + more):
        replay.store(state(t), np.array([t], np.float32), 10.0 * t, state(t + 1))
    again = filled(1, seed=9)
    again.restore(replay.tensors(), replay.position())
    batches = [memory.sample(300) for memory in (replay, again)]
    for batch in batches:
        assert set(batch.state[:, 0].tolist()) == set([*range(7), *range(100, 100 + more)][-5:])
        assert torch.equal(batch.next_state, batch.state + torch.tensor([1.0, -1.0]))
    assert torch.equal(batches[0].state, batches[1].state)
    assert len(replay.tensors()) == (
        4 if 1 <= more <= 4 else 3
    )  # without a seam, a checkpoint is as it always was
    again.store(state(500), np.zeros(1, np.float32), 0.0, state(501))
    assert torch.equal((batch := again.sample(300)).next_state, batch.state + torch.tensor([1.0, -1.0]))


def test_what_is_stored_is_copied() -> None:
    replay, seen = Replay(5, 2, 1, 0, CPU), state(3)
    replay.store(seen, np.zeros(1, np.float32), 0.0, state(4))
    seen[:] = 99
    assert replay.sample(1).state.tolist() == [[3, -3]]


def test_batches_come_from_the_seed_s_own_stream() -> None:
    one, same, other = filled(9), filled(9), filled(9, seed=1)
    first = one.sample(64).state
    assert torch.equal(first, same.sample(64).state)
    assert not torch.equal(first, other.sample(64).state)
    assert not torch.equal(first, one.sample(64).state)
