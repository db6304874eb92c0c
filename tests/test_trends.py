"""Margins of C4-C10 on counts made up so that each claim holds, and so that each fails."""

import numpy as np
import pytest

from mecsim.experiments.trends import FLAT, count_margins

STEADY = [[10.0, 20.0, 30.0]] * 5
RISES_WHERE_OTHERS_FALL = [[10.0 + t, 20.0 - t, 30.0 - 2 * t] for t in range(5)]
ALL_RISE_AND_FLATTEN = [[4, 8, 12], [7, 14, 21], [9, 18, 27], [9.8, 19.6, 29.4], [10, 20, 30]]
ALL_RISE_TO_THE_END = [[2.0 * t, 4.0 * t, 6.0 * t] for t in range(1, 6)]
GOOD = {
    "xi": RISES_WHERE_OTHERS_FALL,
    "zeta": RISES_WHERE_OTHERS_FALL,
    "sigma": ALL_RISE_AND_FLATTEN,
    "rho": ALL_RISE_AND_FLATTEN,
}


def margins(**changed: list) -> dict[str, list[float]]:
    return count_margins({symbol: np.array(counts, float) for symbol, counts in {**GOOD, **changed}.items()})


def holds(parts: list[float]) -> bool:
    return all(part > 0 for part in parts)


def one_bs(counts: list, bs: int, series: list[float]) -> list:
    changed = np.array(counts, float)
    changed[:, bs] = series
    return changed.tolist()


def test_all_seven_hold_where_the_paper_s_words_are_true() -> None:
    found = margins()
    assert list(found) == ["C4", "C5", "C6", "C7", "C8", "C9", "C10"]
    assert all(holds(parts) for parts in found.values())


def test_the_margins_by_hand() -> None:
    found = margins()
    # 10..14 rises by 4 around 12, 20..16 falls by 4 around 18, 30..22 falls by 8 around 26.
    assert found["C4"] == pytest.approx([4 / 12, 4 / 18, 8 / 26])
    # Gaps at the first and last point: 10 and 10, 2 and 6; the mean of all counts is (12 + 18 + 26) / 3.
    gaps = np.array(found["C5"]).reshape(5, 2) * (12 + 18 + 26) / 3
    assert gaps[[0, -1]] == pytest.approx(np.array([[10, 10], [2, 6]]))
    # The total goes from 58.8 to 60 in the last step.
    assert found["C8"] == pytest.approx([FLAT - (60 / 58.8 - 1)])


@pytest.mark.parametrize(("claim", "sweep"), [("C4", "xi"), ("C6", "zeta")])
@pytest.mark.parametrize(
    "counts",
    [
        STEADY,
        one_bs(RISES_WHERE_OTHERS_FALL, 0, [14, 13, 12, 11, 10]),
        one_bs(RISES_WHERE_OTHERS_FALL, 1, [20, 20.5, 21, 21.5, 22]),
        one_bs(RISES_WHERE_OTHERS_FALL, 2, [30, 30, 30, 30, 30]),
    ],
    ids=["nothing moves", "the first falls", "the second rises", "the third stays"],
)
def test_c4_and_c6_need_the_first_to_rise_and_the_others_to_fall(claim, sweep, counts) -> None:
    found = margins(**{sweep: counts})
    assert not holds(found[claim])
    assert holds(found["C6" if claim == "C4" else "C4"])


@pytest.mark.parametrize(
    "last", [[21.0, 20.0, 30.0], [10.0, 31.0, 30.0], [10.0, 10.0, 30.0]], ids=["1 > 2", "2 > 3", "1 = 2"]
)
def test_c5_needs_the_order_at_every_point(last) -> None:
    assert holds(margins(xi=STEADY)["C5"])
    assert not holds(margins(xi=[*STEADY[:-1], last])["C5"])


@pytest.mark.parametrize(("claim", "sweep"), [("C7", "sigma"), ("C9", "rho")])
@pytest.mark.parametrize("bs", [0, 1, 2])
def test_c7_and_c9_need_all_three_to_rise(claim, sweep, bs) -> None:
    found = margins(**{sweep: one_bs(ALL_RISE_AND_FLATTEN, bs, [9, 8, 7, 6, 5])})
    assert not holds(found[claim])
    assert found[claim][bs] == pytest.approx(-4 / 7)


@pytest.mark.parametrize(("claim", "sweep"), [("C8", "sigma"), ("C10", "rho")])
def test_c8_and_c10_need_the_total_to_be_flat_at_the_end(claim, sweep) -> None:
    rising = margins(**{sweep: ALL_RISE_TO_THE_END})  # 48 to 60: a quarter more
    assert rising[claim] == pytest.approx([FLAT - 0.25])
    falling = margins(**{sweep: [*ALL_RISE_AND_FLATTEN[:-1], [9.0, 18.0, 27.0]]})
    assert not holds(falling[claim])
