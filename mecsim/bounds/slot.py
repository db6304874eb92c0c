"""The most that one slot can earn: a bracket around the optimum."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from mecsim.bounds.search import Search
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, SystemState

EXACT = 3e-6
"""The least relative gap that can be asked for: it covers the tolerances of the solver and of `Demands`."""


@dataclass(frozen=True)
class Bracket:
    """An interval that holds the optimum of a slot.

    Attributes:
        lower: the income of `action`.
        upper: no action earns more.
        action: a feasible action, all of whose tasks are paid.
        boxes: boxes of S that were bounded.
        seconds: time taken.
    """

    lower: float
    upper: float
    action: Action
    boxes: int
    seconds: float

    @property
    def gap(self) -> float:
        """(upper - lower) / lower; 0 where nothing can be earned."""
        return (self.upper - self.lower) / self.lower if self.lower else (np.inf if self.upper else 0.0)


def per_slot_bounds(
    scenario: Scenario, state: SystemState, gap: float = 0.03, time_limit_s: float = 60.0
) -> Bracket:
    """Bounds on the income that any action can earn in a state, eqs. (2)-(11).

    The choice is to discard each task or to compute it at a BS with f = l of (18), under (5), (10) and C4; it bounds
    every action of the system, since an action that promises more CPU than there is, or sends what it cannot pay for,
    earns no more than its completed tasks alone would.

    A box is an interval of S, the power that a BS receives in all, for every cell. Demands and energies at the lower
    end of an interval are no more than the true ones, so that the best choice under them bounds the box from above
    (prices of the CPU and weak duality, see `prices.best_prices`, within which the intervals are cut into buckets);
    those at the upper end are no less, so that a choice whose S stays below it is feasible and bounds the optimum
    from below. The box of the largest bound is split until the bracket is narrow enough. Boxes with few tasks, or so
    small that their bound hardly depends on S, are given to a mixed-integer solver with the demands of their lower
    end: its optimum either is feasible, and then the best of the box, or splits the box at its own S. Without
    interference there is one box, and it is solved at once if `gap` asks for more than the prices give.

    Both ends hold in floating point: deadlines, energies and capacities of the relaxation are widened by 1e-9, bounds
    of the prices are recomputed from the dual and raised by 1e-9, bounds of the solver are raised by 1e-6, and the
    lower end is the income that `outcome` pays.

    Args:
        scenario: parameters of the system.
        state: what is known of the slot.
        gap: (upper - lower) / lower at which to stop; below 3e-6 it is taken as that, which is exact but for rounding.
        time_limit_s: seconds after which the bracket is returned as it is.

    Raises:
        SettingError: a negative gap or time limit.
    """
    for name, value in (("gap", gap), ("time_limit_s", time_limit_s)):
        if not value >= 0:
            raise SettingError(f"{name} = {value!r} is not allowed: it should be 0 or more.")
    began = perf_counter()
    search = Search(scenario, state, max(gap, EXACT), began + time_limit_s)
    search.run()
    return Bracket(search.lower, search.upper, search.action, search.boxes, perf_counter() - began)
