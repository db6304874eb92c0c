"""The replay memory Omega of section IV-B, which keeps every state once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mecsim.mdp import Vector
from mecsim.system import generator_state, restore_generator, stream


class Batch(NamedTuple):
    """A mini-batch Lambda of experience tuples (s, a, r, s')."""

    state: Tensor
    action: Tensor
    reward: Tensor
    next_state: Tensor


class Replay:
    """A ring of the latest experience; the oldest tuple makes room for the newest.

    Slots follow each other without episodes, so the next state of a tuple is as a rule the state of the tuple after it,
    and kept once. Where it is not, as where a learner goes on in another world, it is kept apart.

    Args:
        capacity: tuples kept, 3000 in Table II.
        state_size: length of a state vector.
        action_size: length of an action vector.
        seed: seed of the stream "batches".
        device: where the tuples are kept.
        action_type: type of an action's entries.
    """

    def __init__(
        self,
        capacity: int,
        state_size: int,
        action_size: int,
        seed: int,
        device: torch.device,
        action_type: torch.dtype = torch.float32,
    ) -> None:
        self.capacity = capacity
        self._states = torch.zeros(capacity + 1, state_size, dtype=torch.float32, device=device)
        self._actions = torch.zeros(capacity + 1, action_size, dtype=action_type, device=device)
        self._rewards = torch.zeros(capacity + 1, dtype=torch.float32, device=device)
        self._expected: Vector | None = None
        self._ends: dict[int, Tensor] = {}
        self._head, self._length = 0, 0
        self._draws = stream(seed, "batches")

    def __len__(self) -> int:
        return self._length

    def store(self, state: Vector, action: np.ndarray, reward: float, next_state: Vector) -> None:
        """Adds the tuple (s, a, r, s'), Algorithm 2, line 8."""
        head = self._head
        if self._expected is not None and not np.array_equal(state, self._expected):
            self._ends[(head - 1) % (self.capacity + 1)] = self._states[head].clone()
        self._ends.pop(head, None)
        self._states[head] = torch.from_numpy(state)
        self._actions[head] = torch.from_numpy(action)
        self._rewards[head] = reward
        self._head = (head + 1) % (self.capacity + 1)
        self._states[self._head] = torch.from_numpy(next_state)
        self._expected = next_state.copy()
        self._length = min(self._length + 1, self.capacity)

    def sample(self, size: int) -> Batch:
        """A mini-batch drawn uniformly with replacement, Algorithm 2, line 9."""
        age = self._draws.integers(self._length, size=size)
        rows = torch.from_numpy((self._head - 1 - age) % (self.capacity + 1)).to(self._states.device)
        next_states = self._states[(rows + 1) % (self.capacity + 1)]
        for row, end in self._ends.items():
            next_states[rows == row] = end
        return Batch(self._states[rows], self._actions[rows], self._rewards[rows], next_states)

    def tensors(self) -> dict[str, Tensor]:
        """The tuples kept, for a checkpoint."""
        kept = {"states": self._states, "actions": self._actions, "rewards": self._rewards}
        return {**kept, **{f"end/{row}": end for row, end in self._ends.items()}}

    def position(self) -> dict:
        """Where the ring and its stream stand, ready for JSON."""
        return {"head": self._head, "length": self._length, "draws": generator_state(self._draws)}

    def restore(self, tensors: dict[str, Tensor], position: dict) -> None:
        """Goes back to a checkpoint of a replay memory of the same sizes."""
        self._ends.clear()
        for name, kept in self.tensors().items():
            kept.copy_(tensors[name])
        for name in tensors.keys() - self.tensors().keys():
            self._ends[int(name.removeprefix("end/"))] = tensors[name].to(self._states.device)
        self._head, self._length = position["head"], position["length"]
        self._expected = self._states[self._head].cpu().numpy() if self._length else None
        restore_generator(self._draws, position["draws"])
