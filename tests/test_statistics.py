"""Intervals over seeds, verdicts, trends and the curve of Fig. 3, against SciPy and numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from mecsim.experiments.statistics import (
    Interval,
    interval,
    negligible,
    trailing_mean,
    trend,
    verdict,
    weakest,
)

SCATTERED = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10).filter(lambda some: np.std(some) > 1e-3)


class TestInterval:
    @given(SCATTERED)
    def test_is_scipy_s_student_interval(self, values) -> None:
        theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        found = interval(values)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-9)

    def test_equal_values_leave_no_doubt(self) -> None:
        assert interval([4.0, 4.0, 4.0]) == (4.0, 4.0, 4.0, 3)

    @pytest.mark.parametrize(
        "values", [[], [1.0], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0], [3.0, 4.0]], 3.0]
    )
    def test_too_few_or_bad_values_are_refused(self, values) -> None:
        with pytest.raises(ValueError, match="are not allowed: an interval needs two or more finite numbers"):
            interval(values)


class TestVerdict:
    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0.1, 0.3, "reproduced"),
            (1e-12, 0.3, "reproduced"),
            (0.0, 0.3, "inconclusive"),
            (-0.1, 0.3, "inconclusive"),
            (-0.3, 1e-12, "inconclusive"),
            (-0.3, 0.0, "not reproduced"),
            (-0.3, -0.1, "not reproduced"),
            (0.0, 0.0, "not reproduced"),
        ],
    )
    def test_where_the_interval_lies(self, low, high, expected) -> None:
        assert verdict(Interval((low + high) / 2, low, high, 5)) == expected


SURE, WIDER, OPEN, FALSE = [1.0, 1.1, 0.9], [2.0, 2.1, 1.9], [3.0, -1.0, 1.5], [-1.0, -1.1, -0.9]


class TestWeakest:
    @pytest.mark.parametrize(
        ("parts", "deciding", "expected"),
        [
            ((SURE, OPEN, FALSE), FALSE, "not reproduced"),
            ((FALSE, SURE), FALSE, "not reproduced"),
            ((SURE, OPEN), OPEN, "inconclusive"),
            ((WIDER, SURE), SURE, "reproduced"),
            ((OPEN,), OPEN, "inconclusive"),
        ],
    )
    def test_one_part_decides_with_the_upper_end_of_all_at_once(self, parts, deciding, expected) -> None:
        found = weakest(np.array(parts).T)
        assert found == interval(deciding)._replace(high=interval(deciding, 1 - 0.05 / len(parts)).high)
        assert verdict(found) == expected

    def test_many_parts_that_just_hold_are_seldom_refuted_by_chance(self) -> None:
        rng = np.random.default_rng(1)
        refuted = [verdict(weakest(rng.normal(0.0, 1.0, (5, 20)))) == "not reproduced" for _ in range(400)]
        assert np.mean(refuted) < 0.05
        assert np.mean([(weakest(rng.normal(-3.0, 1.0, (5, 20))).high <= 0) for _ in range(50)]) > 0.9


class TestNegligible:
    SMALL, SMALL_BUT_SURE = [-0.1, 0.1, 0.02], [0.09, 0.1, 0.11]

    @pytest.mark.parametrize(
        ("parts", "matters", "deciding"),
        [
            ((SURE, SMALL), 0.5, SMALL),
            ((SURE, SMALL), [0.0, 0.5], SMALL),
            ((SURE, SMALL), 0.2, None),  # its interval for both parts at once is wider
            ((SMALL,), 0.3, SMALL),
            ((SURE, OPEN), 0.5, None),
            ((SMALL_BUT_SURE,), 0.5, None),  # it holds
        ],
    )
    def test_a_part_surely_within_what_does_not_matter(self, parts, matters, deciding) -> None:
        found = negligible(np.array(parts).T, matters)
        assert found == (deciding and interval(deciding, 1 - 0.05 / len(parts)))

    def test_parts_that_just_matter_are_seldom_taken_for_negligible(self) -> None:
        rng = np.random.default_rng(2)
        taken = [negligible(rng.normal(1.0, 0.3, (20, 10)), 1.0) is not None for _ in range(400)]
        assert np.mean(taken) < 0.05


class TestTrend:
    @given(arrays(float, st.integers(2, 8), elements=st.floats(1, 100)))
    def test_is_scipy_s_regression(self, series) -> None:
        fit = stats.linregress(np.arange(series.size), series)
        expected = fit.slope * (series.size - 1) / series.mean()
        assert trend(series) == pytest.approx(expected, rel=1e-9, abs=1e-9)


class TestTrailingMean:
    @given(arrays(float, st.integers(1, 40), elements=st.floats(0, 400)), st.integers(1, 50))
    def test_equals_the_loop(self, incomes, window) -> None:
        loop = [incomes[max(t + 1 - window, 0) : t + 1].mean() for t in range(incomes.size)]
        assert trailing_mean(incomes, window) == pytest.approx(np.array(loop), rel=1e-9, abs=1e-9)
