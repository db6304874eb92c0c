"""The paper's sums (2)-(11) and (15)-(18) and its Algorithm 1, task by task in plain Python.

Written from the paper and slow on purpose: the oracle of the tests and the yardstick of `mecsim bench`. The devices of
all cells are numbered j = 0, 1, ...; `cell[j]` is the BS i that serves device j, k is any device, `to` is the BS i'
that computes a task. Decisions are lists: x[j], y[j][to] and f[j][to]. The letters are Table I's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, log2
from typing import Any


@dataclass
class Slot:
    """What is known at the start of a slot: lists over devices, lists over BSs, and two numbers."""

    cell: list[int]
    z: list[float]
    v: list[float]
    delta: list[float]
    g: list[float]
    p: list[float]
    h: list[float]
    e: list[float]
    Q: list[float]
    B: list[float]
    F: list[float]
    C: list[list[float]]
    N0: float
    alpha: float = 1.0

    @classmethod
    def of(cls, scenario: Any, state: Any) -> Slot:
        """A slot of mecsim as lists."""
        return cls(
            cell=[i for i, count in enumerate(scenario.devices) for _ in range(count)],
            z=state.size_bits.tolist(),
            v=state.density_cycles_per_bit.tolist(),
            delta=state.deadline_s.tolist(),
            g=state.award.tolist(),
            p=state.power_w.tolist(),
            h=state.gain.tolist(),
            e=state.harvest_j.tolist(),
            Q=state.energy_j.tolist(),
            B=scenario.per_bs("bandwidth_hz").tolist(),
            F=state.cpu_hz.tolist(),
            C=state.link_bps.tolist(),
            N0=scenario.noise_w_per_hz,
            alpha=scenario.interference,
        )

    @property
    def tasks(self) -> range:
        """Every j."""
        return range(len(self.cell))

    @property
    def stations(self) -> range:
        """Every i'."""
        return range(len(self.F))


Offload = list[int]
Peer = list[list[int]]
Cpu = list[list[float]]


def interference(slot: Slot, x: Offload, j: int) -> float:
    """Eq. (3), times the interference factor of A1."""
    total = 0.0
    for k in slot.tasks:
        if slot.cell[k] == slot.cell[j] and k != j:
            total += x[k] * slot.p[k] * slot.h[k]
    return slot.alpha * total


def rate(slot: Slot, x: Offload, j: int) -> float:
    """Eq. (2)."""
    b = slot.B[slot.cell[j]]
    return b * log2(1.0 + slot.p[j] * slot.h[j] / (b * slot.N0 + interference(slot, x, j)))


def uplink_delay(slot: Slot, x: Offload, j: int) -> float:
    """Eq. (4)."""
    if not x[j]:
        return 0.0
    nu = rate(slot, x, j)
    return slot.z[j] / nu if nu > 0 else inf


def has_energy(slot: Slot, x: Offload, j: int) -> bool:
    """Eq. (5)."""
    return slot.p[j] * uplink_delay(slot, x, j) * x[j] <= slot.Q[j]


def next_energy(slot: Slot, x: Offload, j: int) -> float:
    """Eq. (6)."""
    return slot.Q[j] + slot.e[j] - x[j] * slot.p[j] * uplink_delay(slot, x, j)


def link_delay(slot: Slot, x: Offload, y: Peer, j: int) -> float:
    """Eq. (8); 0 in the serving BS, infinite where the two BSs are not connected."""
    for to in slot.stations:
        if x[j] and y[j][to] and to != slot.cell[j]:
            c = slot.C[slot.cell[j]][to]
            return slot.z[j] / c if c > 0 else inf
    return 0.0


def compute_delay(slot: Slot, x: Offload, f: Cpu, j: int) -> float:
    """Eq. (9)."""
    if not x[j]:
        return 0.0
    given = sum(f[j][to] for to in slot.stations)
    return slot.z[j] * slot.v[j] / given if given > 0 else inf


def cpu_used(slot: Slot, f: Cpu, to: int) -> float:
    """The left side of eq. (10), over all tasks placed on BS `to` (A20)."""
    return sum(f[j][to] for j in slot.tasks)


def completion_time(slot: Slot, x: Offload, y: Peer, f: Cpu, j: int) -> float:
    """d_ij, below eq. (11)."""
    return uplink_delay(slot, x, j) + link_delay(slot, x, y, j) + compute_delay(slot, x, f, j)


def income(slot: Slot, x: Offload, y: Peer, f: Cpu, rounding: float = 0.0) -> float:
    """Eq. (11); `rounding` is how far beyond its deadline, as a share of it, a task is still paid."""
    total = 0.0
    for j in slot.tasks:
        if x[j] and completion_time(slot, x, y, f, j) <= slot.delta[j] * (1 + rounding):
            total += slot.g[j]
    return total


def broken(slot: Slot, x: Offload, y: Peer, f: Cpu, rounding: float = 0.0) -> set[str]:
    """Which of C1-C4, (5) and (10) a decision breaks by more than `rounding` of the limit."""
    found = set()
    for j in slot.tasks:
        if x[j] not in (0, 1):
            found.add("C1")
        if any(y[j][to] not in (0, 1) for to in slot.stations):
            found.add("C2")
        if sum(y[j]) != x[j]:
            found.add("C3")
        if any(not 0 <= f[j][to] <= slot.F[to] * (1 + rounding) for to in slot.stations):
            found.add("C4")
        if slot.p[j] * uplink_delay(slot, x, j) * x[j] > slot.Q[j] * (1 + rounding):
            found.add("(5)")
    for to in slot.stations:
        if cpu_used(slot, f, to) > slot.F[to] * (1 + rounding):
            found.add("(10)")
    return found


def slack(slot: Slot, x: Offload, y: Peer, j: int) -> float:
    """The denominator of eq. (18)."""
    return slot.delta[j] - uplink_delay(slot, x, j) - link_delay(slot, x, y, j)


def least_cpu(slot: Slot, x: Offload, y: Peer, j: int) -> float:
    """Eq. (18) on the BS where y places the task; infinite where no time is left."""
    if not x[j]:
        return 0.0
    left = slack(slot, x, y, j)
    return slot.z[j] * slot.v[j] / left if left > 0 else inf


Distance = Callable[[list[float], list[float]], float]


def euclid(a: list[float], b: list[float]) -> float:
    """The square of the Euclidean distance, which has its minimum where the distance has it."""
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def manhattan(a: list[float], b: list[float]) -> float:
    """The L1 distance."""
    return sum(abs(p - q) for p, q in zip(a, b, strict=True))


def choices(n_bs: int) -> list[tuple[int, list[int]]]:
    """The values that C1-C3 leave to (x, y) of one task: discard, then BS 0, 1, ..."""
    placed = [(1, [int(to == chosen) for to in range(n_bs)]) for chosen in range(n_bs)]
    return [(0, [0] * n_bs), *placed]


def valid_actions(n_tasks: int, n_bs: int) -> Iterator[tuple[Offload, Peer]]:
    """The set A'(t) of eq. (15), every member."""
    for picked in product(choices(n_bs), repeat=n_tasks):
        yield [x for x, _ in picked], [y for _, y in picked]


def flat(x: Sequence[float], y: Sequence[Sequence[float]]) -> list[float]:
    """x and y as one vector."""
    return [*x, *(entry for row in y for entry in row)]


def nearest(
    x_hat: list[float], y_hat: list[list[float]], distance: Distance = euclid
) -> tuple[Offload, Peer]:
    """Eq. (15) by trying every member of A'(t); the first of several nearest ones."""
    target = flat(x_hat, y_hat)
    return min(valid_actions(len(x_hat), len(y_hat[0])), key=lambda action: distance(flat(*action), target))


def nearest_by_task(x_hat: list[float], y_hat: list[list[float]]) -> tuple[Offload, Peer]:
    """Eq. (15) task by task, since neither the squared distance nor C1-C3 couple two tasks."""
    picked = [nearest([one], [row]) for one, row in zip(x_hat, y_hat, strict=True)]
    return [x[0] for x, _ in picked], [y[0] for _, y in picked]


def with_energy(slot: Slot, x: Offload, y: Peer) -> tuple[Offload, Peer]:
    """Eqs. (16) and (17), all devices judged at once (A22)."""
    enough = [has_energy(slot, x, j) for j in slot.tasks]
    return (
        [x[j] if enough[j] else 0 for j in slot.tasks],
        [list(y[j]) if enough[j] else [0 for _ in y[j]] for j in slot.tasks],
    )


def algorithm_1(
    slot: Slot,
    x_hat: list[float],
    y_hat: list[list[float]],
    reading: str = "reassess",
    hopeless: str = "worst slack",
    f_hat: list[list[float]] | None = None,
    shielded: list[bool] | None = None,
    one_shot_cpu: str = "before",
) -> tuple[Offload, Peer, Cpu]:
    """Algorithm 1.

    Args:
        slot: what is known.
        x_hat, y_hat: the actor's output.
        reading: are delays and priorities those of now at every pass of line 5 (`reassess`), or those of line 3 before
            the first removal anywhere (`one-shot`)? (A8)
        hopeless: which task without time goes first (A9).
        f_hat: f as a share of each BS's CPU where the actor decides it (A10); else f is l of (18).
        shielded: tasks that go only after all others of their BS.
        one_shot_cpu: is f under `one-shot` that of before the removals, or that of after them (A42)?

    Returns:
        x, y and f; f is l of (18), or what the actor asked for.
    """
    x, y = nearest_by_task(x_hat, y_hat)  # line 1
    x, y = with_energy(slot, x, y)  # line 2
    return fit_capacity(slot, x, y, reading, hopeless, f_hat, shielded, one_shot_cpu)


def fit_capacity(
    slot: Slot,
    x: Offload,
    y: Peer,
    reading: str = "reassess",
    hopeless: str = "worst slack",
    f_hat: list[list[float]] | None = None,
    shielded: list[bool] | None = None,
    one_shot_cpu: str = "before",
) -> tuple[Offload, Peer, Cpu]:
    """Lines 3-8 of Algorithm 1; see `algorithm_1`."""
    x, y = list(x), [list(row) for row in y]
    asked = _asked(slot, y, f_hat)
    before = {j: (slack(slot, x, y, j), least_cpu(slot, x, y, j)) for j in slot.tasks}

    def assess(j: int) -> tuple[float, float]:
        if reading == "one-shot":
            return before[j]
        return slack(slot, x, y, j), least_cpu(slot, x, y, j)

    def wanted(j: int) -> float:
        """What task j counts in (10): infinite where it cannot meet its deadline."""
        _, least = assess(j)
        if asked is None:
            return least
        return asked[j] if asked[j] >= least else inf

    def rank(j: int) -> tuple[float, ...]:
        """Smaller goes first."""
        left, least = assess(j)
        shield = int(bool(shielded and shielded[j]))
        if wanted(j) < inf:
            return shield, 3, slot.g[j] / least, j
        if hopeless == "lowest index":
            return shield, 0, j, j
        if left <= 0:
            return shield, 1, left, j
        return shield, 2, (asked[j] / least if asked else 0.0), j

    for to in slot.stations:  # line 3
        upsilon = [j for j in slot.tasks if y[j][to]]  # line 4
        while sum(wanted(j) for j in upsilon) > slot.F[to]:  # line 5
            lowest = min(upsilon, key=rank)  # line 6
            x[lowest], y[lowest] = 0, [0 for _ in slot.stations]  # line 7
            upsilon.remove(lowest)  # line 8
    if one_shot_cpu == "after":
        before = {j: (slack(slot, x, y, j), least_cpu(slot, x, y, j)) for j in slot.tasks}
    f = [[y[j][to] * wanted(j) if y[j][to] else 0.0 for to in slot.stations] for j in slot.tasks]
    return x, y, f


def share_out(slot: Slot, f: Cpu) -> Cpu:
    """What each BS has left, given to its tasks in proportion to what they have (A10, `pro rata`)."""
    used = [cpu_used(slot, f, to) for to in slot.stations]
    return [
        [f[j][to] * slot.F[to] / used[to] if f[j][to] else 0.0 for to in slot.stations] for j in slot.tasks
    ]


def _asked(slot: Slot, y: Peer, f_hat: list[list[float]] | None) -> list[float] | None:
    """The actor's f on the BS where y places each task, within C4."""
    if f_hat is None:
        return None
    asked = []
    for j in slot.tasks:
        share = sum(y[j][to] * min(max(f_hat[j][to], 0.0), 1.0) * slot.F[to] for to in slot.stations)
        asked.append(share)
    return asked
