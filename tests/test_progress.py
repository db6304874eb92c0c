"""How far a set of tasks is, and how long the rest takes."""

import pytest
from mecsim.experiments.progress import LINE_EVERY_S, Progress, clock_time, duration_s


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("costs", "workers", "expected"),
    [([], 2, 0), ([5, 5, 5], 1, 15), ([5, 5, 5], 2, 10), ([1, 1, 9], 2, 10), ([9, 1, 1], 2, 9), ([4], 8, 4)],
)
def test_workers_take_up_one_task_after_the_other(costs, workers, expected) -> None:
    assert duration_s(costs, workers) == expected


def test_the_time_left_is_known_before_anything_is_done(clock) -> None:
    progress = Progress("runs", [100.0, 100.0, 2.0, 2.0], workers=2, clock=clock)
    assert progress.left_s() == pytest.approx(102.0)
    clock.forward(30.0)
    assert progress.left_s() == pytest.approx(72.0)
    clock.forward(300.0)
    assert progress.left_s() == 0.0


def test_a_slower_machine_is_noticed(clock) -> None:
    progress = Progress("runs", [10.0] * 1000, workers=1, clock=clock)
    for number in range(500):
        clock.forward(20.0)
        progress.advance(number)
    assert progress.left_s() == pytest.approx(500 * 20.0, rel=0.01)


def test_long_and_short_tasks_count_as_what_they_cost(clock) -> None:
    progress = Progress("runs", [1.0] * 50 + [99.0] * 50, workers=1, clock=clock)
    for number in range(50):
        clock.forward(1.0)
        progress.advance(number)
    assert progress.left_s() == pytest.approx(50 * 99.0)


def test_a_long_task_at_the_end_is_not_shared_between_workers(clock) -> None:
    progress = Progress("runs", [10.0, 10.0, 100.0], workers=2, clock=clock)
    clock.forward(10.0)
    progress.advance(0)
    progress.advance(1)
    assert 100.0 <= progress.left_s() < 200.0


def test_without_seconds_the_pace_tells_once_there_is_one(clock) -> None:
    progress = Progress("cells", [1.0] * 4, clock=clock)
    assert progress.left_s() is None
    assert progress.text() == "cells: 0 of 4 done in 0:00:00"
    clock.forward(60.0)
    progress.advance(2)
    assert progress.text() == "cells: 1 of 4 done in 0:01:00, about 0:03:00 left"


def test_a_log_file_gets_a_line_a_minute_and_the_last(clock, capsys) -> None:
    with Progress("runs", [30.0] * 4, workers=1, clock=clock) as progress:
        for number in range(4):
            clock.forward(LINE_EVERY_S / 2)
            progress.advance(number)
    assert capsys.readouterr().err.splitlines() == [
        "runs: 0 of 4 done in 0:00:00, about 0:02:00 left",
        "runs: 2 of 4 done in 0:01:00, about 0:01:00 left",
        "runs: 4 of 4 done in 0:02:00",
    ]


def test_a_terminal_gets_a_bar(clock, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress("runs", [10.0, 30.0], workers=1, clock=clock) as progress:
        clock.forward(30.0)
        progress.advance(1)
    shown = capsys.readouterr().err.split("\r")
    assert any("0%|" in line and "runs: 0 of 2 done in 0:00:00, about 0:00:40 left" in line for line in shown)
    assert any("75%|" in line and "runs: 1 of 2 done" in line for line in shown)


def test_nothing_to_do_is_not_shown(capsys) -> None:
    with Progress("runs", []) as progress:
        progress.show()
    assert capsys.readouterr().err == ""


def test_the_time_of_a_clock() -> None:
    assert clock_time(3723.4) == "1:02:03"
