"""Certified bounds on what any policy can earn: in one slot, and on average over the slots of a world.

The tasks that a cell transmits change the rates of that cell alone, through the sum S of their received powers (3).
Whatever S is, a task's uplink delay, its energy (5) and the least CPU that meets its deadline (18) grow with it. So an
interval of S gives bounds from both sides: with delays and energies taken at its lower end no choice whose S lies in
the interval asks for more than it really does, so that the best choice under these demands earns at least as much
(an upper bound); with those taken at its upper end every choice whose S lies below it asks for no more than it is
given, so that it is feasible (a lower bound).
"""

from mecsim.bounds.long_run import LongRunBound, idle_states, long_run_bound
from mecsim.bounds.slot import Bracket, per_slot_bounds

__all__ = ["Bracket", "LongRunBound", "idle_states", "long_run_bound", "per_slot_bounds"]
