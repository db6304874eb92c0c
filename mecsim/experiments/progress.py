"""How far a set of tasks is and how long the rest takes: a bar on a terminal or in a notebook, lines in a log file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from heapq import heapify, heapreplace
from time import monotonic
from types import TracebackType
from typing import Self

from tqdm import auto

LINE_EVERY_S = 60.0
"""Seconds between two lines in a log file."""


class Progress:
    """Advances by what tasks cost, so that the time left is right where long and short ones mix.

    Args:
        label: what is being done.
        costs: what each task costs; seconds of one worker where `workers` is given, else in any unit.
        workers: how many tasks are expected to go on at a time; with it, the time left is known before one is done.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        label: str,
        costs: Sequence[float],
        workers: int | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._label, self._workers, self._clock = label, workers, clock
        self._pending = dict(enumerate(costs))
        self._count, self._total = len(costs), sum(costs)
        self._started = self._last = clock()
        self._line_due = -float("inf")
        on_screen = sys.stderr.isatty() or auto.notebook_tqdm is not auto.std_tqdm
        shape = "{percentage:3.0f}%|{bar}| {desc}"
        self._bar = auto.tqdm(total=self._total, bar_format=shape) if on_screen and costs else None

    def __enter__(self) -> Self:
        self.show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, task: int) -> None:
        """Counts a task as done, by its number from 0."""
        cost = self._pending.pop(task)
        self._last = self._clock()
        if self._bar is not None:
            self._bar.n += cost
        self.show()

    def show(self) -> None:
        """Shows the time; in a log file once a minute, and at the end."""
        if self._bar is not None:
            self._bar.set_description_str(self.text())
        elif self._count and (self._clock() >= self._line_due or not self._pending):
            self._line_due = self._clock() + LINE_EVERY_S
            print(self.text(), file=sys.stderr, flush=True)

    def text(self) -> str:
        """How far it is, in words."""
        done, left = self._count - len(self._pending), self.left_s()
        gone = f"{self._label}: {done} of {self._count} done in {clock_time(self._clock() - self._started)}"
        return gone if left is None or not self._pending else f"{gone}, about {clock_time(left)} left"

    def left_s(self) -> float | None:
        """Seconds until all is done, from the pace up to the last task done; None where nothing tells.

        Before a task is done the pace is that of the workers. It then counts as if they had been seen at it for as
        long as one task takes.
        """
        pending = list(self._pending.values())
        done, took = self._total - sum(pending), self._last - self._started
        if self._workers:
            usual = self._total / self._count
            done, took = done + self._workers * usual, took + usual
        if not pending or not done or not took:
            return None if pending else 0.0
        side_by_side = self._workers or 1
        at_work_s = duration_s(pending, side_by_side) * side_by_side * took / done
        return max(at_work_s - (self._clock() - self._last), 0.0)


def duration_s(costs_s: Sequence[float], workers: int) -> float:
    """Seconds until tasks are done that workers take up one after the other."""
    busy_until = [0.0] * workers
    heapify(busy_until)
    for cost in costs_s:
        heapreplace(busy_until, busy_until[0] + cost)
    return max(busy_until)


def clock_time(seconds: float) -> str:
    """Seconds as hours, minutes and seconds, such as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))
