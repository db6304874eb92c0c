"""Runs an agent over fresh slots and records what happens in each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mecsim import physics
from mecsim.agents.base import Agent
from mecsim.fleet import Fleet
from mecsim.memory import keep_freed_memory
from mecsim.physics import Array
from mecsim.system import PhysicalSystem
from mecsim.twin import DigitalTwin


class Rollout(NamedTuple):
    """One record per slot; for a fleet, one per slot and twin: an axis of twins follows that of slots.

    Attributes:
        income: r(t), (slots,).
        offloading: devices of each cell whose task is offloaded, (slots, n_bs).
        idle_cpu: share of each BS's CPU that is not in use, (slots, n_bs).
        completed: tasks paid, (slots,).
    """

    income: Array
    offloading: Array
    idle_cpu: Array
    completed: Array


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
    scenario = system.scenario
    record = Rollout(
        np.empty(slots), np.empty((slots, scenario.n_bs)), np.empty((slots, scenario.n_bs)), np.empty(slots)
    )
    for t in range(slots):
        if twin is not None:
            twin.update(system.state)
        cpu = system.state.cpu_hz
        action = agent.act(system.state if twin is None else twin.state)
        result = system.step(action)
        if twin is not None:
            twin.step(action)
        record.income[t] = result.income
        record.offloading[t] = np.bincount(scenario.cell[action.offload], minlength=scenario.n_bs)
        record.idle_cpu[t] = 1.0 - result.cpu_used_hz / cpu
        record.completed[t] = result.completed.sum()
    return record


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
    scenario = fleet.scenario
    shape = (slots, fleet.n_twins)
    record = Rollout(
        np.empty(shape), np.empty((*shape, scenario.n_bs)), np.empty((*shape, scenario.n_bs)), np.empty(shape)
    )
    for t in range(slots):
        cpu = fleet.state.cpu_hz
        action = agent.act_batch(fleet.state)
        result = fleet.step(action)
        record.income[t] = result.income
        record.offloading[t] = physics.cell_sum(action.offload, scenario.cell, scenario.n_bs)
        record.idle_cpu[t] = 1.0 - result.cpu_used_hz / cpu
        record.completed[t] = result.completed.sum(axis=1)
    return record
