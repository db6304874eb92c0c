"""What the claims measure, on arrays made up so that each part holds, and so that each fails."""

import numpy as np
import pytest

from mecsim.experiments.margins import (
    FLAT,
    all_rise,
    converged_at,
    first_rises_others_fall,
    flattens,
    ordered,
)

STEADY = [[10.0, 20.0, 30.0]] * 5
RISES_WHERE_OTHERS_FALL = [[10.0 + t, 20.0 - t, 30.0 - 2 * t] for t in range(5)]
ALL_RISE_AND_FLATTEN = [[4, 8, 12], [7, 14, 21], [9, 18, 27], [9.8, 19.6, 29.4], [10, 20, 30]]
ALL_RISE_TO_THE_END = [[2.0 * t, 4.0 * t, 6.0 * t] for t in range(1, 6)]


def parts(measure, counts) -> np.ndarray:
    """The parts for one seed of two, (points, n_bs) -> (parts,): that of the other seed does not reach it."""
    counts = np.array(counts, float)
    return measure(np.stack([counts[::-1] ** 2 + 1, counts]))[1]


def holds(measure, counts) -> bool:
    return bool((parts(measure, counts) > 0).all())


def with_bs(counts: list, bs: int, series: list[float]) -> np.ndarray:
    changed = np.array(counts, float)
    changed[:, bs] = series
    return changed


def test_by_hand() -> None:
    # 10..14 rises by 4 around 12, 20..16 falls by 4 around 18, 30..22 falls by 8 around 26.
    assert parts(first_rises_others_fall, RISES_WHERE_OTHERS_FALL) == pytest.approx([4 / 12, 4 / 18, 8 / 26])
    # Gaps at the first and last point: 10 and 10, 2 and 6; the mean of all counts is (12 + 18 + 26) / 3.
    gaps = parts(ordered, RISES_WHERE_OTHERS_FALL).reshape(5, 2) * (12 + 18 + 26) / 3
    assert gaps[[0, -1]] == pytest.approx(np.array([[10, 10], [2, 6]]))
    # The total goes from 58.8 to 60 in the last step, and from 48 to 60: a quarter more.
    assert parts(flattens, ALL_RISE_AND_FLATTEN) == pytest.approx([FLAT - (60 / 58.8 - 1)])
    assert parts(flattens, ALL_RISE_TO_THE_END) == pytest.approx([FLAT - 0.25])


@pytest.mark.parametrize(
    ("measure", "counts"),
    [
        (first_rises_others_fall, RISES_WHERE_OTHERS_FALL),
        (ordered, STEADY),
        (all_rise, ALL_RISE_AND_FLATTEN),
        (flattens, ALL_RISE_AND_FLATTEN),
    ],
)
def test_holds_where_the_paper_s_words_are_true(measure, counts) -> None:
    assert holds(measure, counts)


@pytest.mark.parametrize(
    "counts",
    [
        STEADY,
        with_bs(RISES_WHERE_OTHERS_FALL, 0, [14, 13, 12, 11, 10]),
        with_bs(RISES_WHERE_OTHERS_FALL, 1, [20, 20.5, 21, 21.5, 22]),
        with_bs(RISES_WHERE_OTHERS_FALL, 2, [30, 30, 30, 30, 30]),
    ],
    ids=["nothing moves", "the first falls", "the second rises", "the third stays"],
)
def test_the_first_has_to_rise_and_the_others_to_fall(counts) -> None:
    assert not holds(first_rises_others_fall, counts)


@pytest.mark.parametrize(
    "last", [[21.0, 20.0, 30.0], [10.0, 31.0, 30.0], [10.0, 10.0, 30.0]], ids=["1 > 2", "2 > 3", "1 = 2"]
)
def test_the_order_has_to_hold_at_every_point(last) -> None:
    assert not holds(ordered, [*STEADY[:-1], last])


@pytest.mark.parametrize("bs", [0, 1, 2])
def test_all_three_have_to_rise(bs) -> None:
    counts = with_bs(ALL_RISE_AND_FLATTEN, bs, [9, 8, 7, 6, 5])
    assert not holds(all_rise, counts)
    assert parts(all_rise, counts)[bs] == pytest.approx(-4 / 7)


def test_a_total_that_falls_at_the_end_is_not_flat() -> None:
    assert not holds(flattens, [*ALL_RISE_AND_FLATTEN[:-1], [9.0, 18.0, 27.0]])


def test_a_curve_converges_where_it_stays_within_the_band() -> None:
    flat = np.full(1000, 100.0)
    assert converged_at(flat) == 0
    late = np.concatenate([np.full(500, 50.0), np.full(500, 100.0)])
    assert 500 < converged_at(late) <= 600  # within 2 % once the window of 100 holds less than 4 old slots
    assert converged_at(np.stack([flat, late])).shape == (2,)
