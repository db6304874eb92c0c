"""The replay memory Omega of section IV-B, which keeps every state once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mecsim.mdp import Vector
from mecsim.physics import Array
from mecsim.system import Streams


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
        seed: seed of the stream "batches"; or one for each member of a stack, whose arrays all have an axis of members
            in front.
        device: where the tuples are kept.
        action_type: type of an action's entries.
    """

    def __init__(
        self,
        capacity: int,
        state_size: int,
        action_size: int,
        seed: int | Sequence[int],
        device: torch.device,
        action_type: torch.dtype = torch.float32,
    ) -> None:
        self.capacity = capacity
        rows = (capacity + 1,) if isinstance(seed, int) else (len(seed), capacity + 1)
        self._states = torch.zeros(*rows, state_size, dtype=torch.float32, device=device)
        self._actions = torch.zeros(*rows, action_size, dtype=action_type, device=device)
        self._rewards = torch.zeros(rows, dtype=torch.float32, device=device)
        self._member = () if isinstance(seed, int) else (torch.arange(len(seed), device=device)[:, None],)
        self._expected: Vector | None = None
        self._ends: dict[int, Tensor] = {}
        self._head, self._length = 0, 0
        self._draws = Streams(seed, "batches")

    def __len__(self) -> int:
        return self._length

    def store(self, state: Vector, action: np.ndarray, reward: float | Array, next_state: Vector) -> None:
        """Adds the tuple (s, a, r, s'), Algorithm 2, line 8."""
        head = self._head
        if self._expected is not None and not np.array_equal(state, self._expected):
            self._ends[(head - 1) % (self.capacity + 1)] = self._states[..., head, :].clone()
        self._ends.pop(head, None)
        self._states[..., head, :] = torch.from_numpy(state)
        self._actions[..., head, :] = torch.from_numpy(action)
        self._rewards[..., head] = torch.from_numpy(reward) if isinstance(reward, np.ndarray) else reward
        self._head = (head + 1) % (self.capacity + 1)
        self._states[..., self._head, :] = torch.from_numpy(next_state)
        self._expected = next_state.copy()
        self._length = min(self._length + 1, self.capacity)

    def sample(self, size: int, replace: bool = True) -> Batch:
        """A mini-batch drawn uniformly, with replacement or without (A36), Algorithm 2, line 9."""
        if replace:
            age = self._draws.each(lambda draws: draws.integers(self._length, size=size))
        else:
            age = self._draws.each(lambda draws: draws.choice(self._length, size, replace=False))
        rows = torch.from_numpy((self._head - 1 - age) % (self.capacity + 1)).to(self._states.device)
        here = (*self._member, rows)
        next_states = self._states[(*self._member, (rows + 1) % (self.capacity + 1))]
        for row, end in self._ends.items():
            next_states = torch.where((rows == row)[..., None], end[..., None, :], next_states)
        return Batch(self._states[here], self._actions[here], self._rewards[here], next_states)

    def tensors(self) -> dict[str, Tensor]:
        """The tuples kept, for a checkpoint."""
        kept = {"states": self._states, "actions": self._actions, "rewards": self._rewards}
        return {**kept, **{f"end/{row}": end for row, end in self._ends.items()}}

    def position(self) -> dict:
        """Where the ring and its stream stand, ready for JSON."""
        return {"head": self._head, "length": self._length, "draws": self._draws.snapshot()}

    def restore(self, tensors: dict[str, Tensor], position: dict) -> None:
        """Goes back to a checkpoint of a replay memory of the same sizes."""
        self._ends.clear()
        for name, kept in self.tensors().items():
            kept.copy_(tensors[name])
        for name in tensors.keys() - self.tensors().keys():
            self._ends[int(name.removeprefix("end/"))] = tensors[name].to(self._states.device)
        self._head, self._length = position["head"], position["length"]
        self._expected = self._states[..., self._head, :].cpu().numpy() if self._length else None
        self._draws.restore(position["draws"])
