"""Runs an agent over fresh slots and records what happens in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent
from mecsim.fleet import Fleet
from mecsim.memory import keep_freed_memory
from mecsim.physics import Array
from mecsim.scenario import Scenario
from mecsim.state import Action, Outcome, SystemState
from mecsim.system import PhysicalSystem
from mecsim.twin import DigitalTwin


class Rollout(NamedTuple):
    """One record per slot; for a fleet, one per slot and twin: an axis of twins follows that of slots.

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
        system: where the decisions are carried out.
        slots: how many slots.
        twin: what the agent sees: a twin kept up to date by the system's reports; without one, the system itself.
    """
    record = _blank((slots,), system.scenario.n_bs)
    for t in range(slots):
        if twin is not None:
            twin.update(system.state)
        cpu = system.state.cpu_hz
        action = agent.act(system.state if twin is None else twin.state)
        result = system.step(action)
        if twin is not None:
            twin.step(action)
        _note(record, t, system.scenario, cpu, action, result)
    return record


def states_met(agent: Agent, system: PhysicalSystem) -> Iterator[SystemState]:
    """The states of successive slots of a system under an agent, without end."""
    while True:
        yield system.state
        system.step(agent.act(system.state))


def rollout_fleet(agent: Agent, fleet: Fleet, slots: int) -> Rollout:
    """Lets an agent decide for `slots` slots of every twin of a fleet at once, without exploration or learning.

    Args:
        agent: who decides, for all twins at once.
        fleet: where the decisions are carried out.
        slots: how many slots of each twin.

    Raises:
        SettingError: the agent has no `act_batch`.
    """
    keep_freed_memory()
    record = _blank((slots, fleet.n_twins), fleet.scenario.n_bs)
    for t in range(slots):
        cpu = fleet.state.cpu_hz
        action = agent.act_batch(fleet.state)
        _note(record, t, fleet.scenario, cpu, action, fleet.step(action))
    return record


def _blank(shape: tuple[int, ...], n_bs: int) -> Rollout:
    """A record to fill in."""
    one, each_bs = shape, (*shape, n_bs)
    return Rollout(*map(np.empty, (one, each_bs, each_bs, one, one)))


def _note(
    record: Rollout, t: int, scenario: Scenario, cpu_hz: Array, action: Action, result: Outcome
) -> None:
    """Fills in what happened in slot t."""
    record.income[t] = result.income
    record.offloading[t] = physics.cell_sum(action.offload, scenario.cell, scenario.n_bs)
    record.idle_cpu[t] = 1.0 - result.cpu_used_hz / cpu_hz
    record.completed[t] = result.completed.sum(axis=-1)
    record.helped[t] = (action.offload & (action.placement != scenario.cell)).sum(axis=-1)
