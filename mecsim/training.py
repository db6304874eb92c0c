"""Algorithm 2's loop, in which an agent learns in a twin, and the deployment of a trained one."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from mecsim import physics
from mecsim.agents.base import Agent
from mecsim.physics import Array
from mecsim.settings import SettingError, whole_number
from mecsim.system import Action, Outcome, PhysicalSystem, SystemState
from mecsim.twin import DigitalTwin

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner

WINDOW = 100
"""Slots that a running income averages (A18)."""


class Callback:
    """What looks on at a training, slot by slot; by default, it does nothing."""

    def after_action(self, learner: Learner, state: SystemState, action: Action) -> None:
        """Sees what the learner decides, with its exploration, before it is carried out."""

    def after_slot(self, incomes: list[Any]) -> None:
        """Sees the incomes of all slots so far, after the learner has learnt from the last one."""


def train(
    learner: Learner,
    twin: DigitalTwin,
    slots: int,
    incomes: list[Any] | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> Array:
    """Trains until `slots` slots are done and returns the income of each, (slots,), or (slots, members) of a stack.

    A member of a stack that diverges goes on as NaN; `Learner.diverged` says since when.

    Args:
        learner: INTO or DDQN, one or a stack.
        twin: where it trains: one world, or one for each member.
        slots: slots in all.
        incomes: the slots done before, when a training is resumed.
        progress: show a bar with the running income.
        callback: looks on.

    Raises:
        SettingError: the twin has not one world a learner, or other devices than the learner knows.
    """
    slots = whole_number("slots", slots)
    check_partners(learner, twin)
    if not hasattr(learner, "explore"):
        raise SettingError(f"learner = {type(learner).__name__} is not allowed: it should be INTO or DDQN.")
    if learner.worlds != twin.worlds:
        raise SettingError(
            f"twin of {math.prod(twin.worlds)} worlds is not allowed: a training takes one world, or one for each "
            "member of a stack."
        )
    keep_freed_memory()
    incomes, callback = [] if incomes is None else incomes, callback or Callback()
    with tqdm(total=slots, initial=len(incomes), disable=not progress, unit="slot") as bar:
        for _ in range(len(incomes), slots):  # line 4 of Algorithm 2
            state = twin.state
            action = learner.explore(state)  # lines 5 and 6
            callback.after_action(learner, state, action)
            income = _earned(learner, twin.step(action))  # line 7
            learner.remember(state, action, income, twin.state)  # line 8
            learner.learn()  # lines 9 to 13
            incomes.append(income)
            bar.update()
            bar.set_postfix(income=f"{np.mean(incomes[-WINDOW:]):.1f}", refresh=False)
            callback.after_slot(incomes)
    return np.array(incomes)


def _earned(learner: Learner, outcome: Outcome) -> Any:
    """The income of a slot, a number or (members,), NaN for members that are set aside."""
    if not learner.worlds:
        return float(outcome.income)
    income = np.array(outcome.income)
    income[list(learner.diverged)] = np.nan
    return income


class Rollout(NamedTuple):
    """One record per slot; where there are many worlds, one per slot and world: their axis follows that of slots.

    Attributes:
        income: r(t), (slots,).
        offloading: devices of each cell whose task is offloaded, (slots, n_bs).
        idle_cpu: share of each BS's CPU that is not in use, (slots, n_bs).
        completed: tasks paid, (slots,).
        helped: tasks that another BS than their own computes, (slots,).
    """

    income: Array
    offloading: Array
    idle_cpu: Array
    completed: Array
    helped: Array


def rollout(
    agent: Agent, system: PhysicalSystem | DigitalTwin, slots: int, twin: DigitalTwin | None = None
) -> Rollout:
    """Lets an agent decide for `slots` slots of a system, without exploration or learning.

    Args:
        agent: who decides.
        system: where the decisions are carried out, one world or many.
        slots: how many slots.
        twin: what the agent sees: a twin kept up to date by the system's reports; without one, the system itself.

    Raises:
        SettingError: agent, system and twin are not all of the same devices, or `slots` is below 1.
    """
    slots = whole_number("slots", slots, least=1)
    check_partners(agent, system, *(() if twin is None else (twin,)))
    keep_freed_memory()
    cell, n_bs = system.scenario.cell, system.scenario.n_bs
    one, each_bs = (slots, *system.worlds), (slots, *system.worlds, n_bs)
    record = Rollout(*map(np.empty, (one, each_bs, each_bs, one, one)))
    for t in range(slots):
        if twin is not None:
            twin.update(system.state)
        cpu_hz = system.state.cpu_hz
        action = agent.decide(system.state if twin is None else twin.state)
        result = system.step(action)
        if twin is not None:
            twin.step(action)
        record.income[t] = result.income
        record.offloading[t] = physics.cell_sum(action.offload, cell, n_bs)
        record.idle_cpu[t] = 1.0 - result.cpu_used_hz / cpu_hz
        record.completed[t] = result.completed.sum(axis=-1)
        record.helped[t] = (action.offload & (action.placement != cell)).sum(axis=-1)
    return record


def states_met(agent: Agent, system: PhysicalSystem | DigitalTwin) -> Iterator[SystemState]:
    """The states of successive slots of a system under an agent, without end.

    Raises:
        SettingError: the system has other devices than the agent knows.
    """
    check_partners(agent, system)
    while True:
        yield system.state
        system.step(agent.decide(system.state))


def check_partners(agent: Agent, *systems: PhysicalSystem | DigitalTwin) -> None:
    """An agent may know other numbers than those of the system, but not other devices, which no shape need tell.

    Raises:
        SettingError: the agent or a system is none, or they are of different devices or worlds.
    """
    if not hasattr(agent, "decide"):
        raise SettingError(
            f"agent = {agent!r} is not allowed: it should be an agent, such as make_agent('all-on', scenario)."
        )
    known = agent.scenario.devices
    for system in systems:
        if not isinstance(system, PhysicalSystem | DigitalTwin):
            raise SettingError(
                f"system of type {type(system).__name__} is not allowed: it should be a PhysicalSystem or DigitalTwin."
            )
        if system.scenario.devices != known:
            raise SettingError(
                f"agent of devices = {known} is not allowed: it should be one of the devices of the "
                f"{'twin' if isinstance(system, DigitalTwin) else 'system'}, {system.scenario.devices}."
            )
        if agent.worlds and agent.worlds != system.worlds:
            raise SettingError(
                f"agent of {agent.worlds[0]} members is not allowed: there should be one for each of the "
                f"{math.prod(system.worlds)} worlds."
            )


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed for the next slot; elsewhere it does nothing.

    Every slot allocates gradients of 45 MB. By default glibc hands them back to the system, and to fault them in again
    takes longer than the products that fill them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 25)
    mallopt(M_TRIM_THRESHOLD, 1 << 30)
