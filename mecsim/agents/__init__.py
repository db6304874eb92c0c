"""The paper's agents, its baselines and two controls."""

from mecsim.agents.base import AGENTS, Agent, agent_class, make_agent

__all__ = ["AGENTS", "Agent", "agent_class", "make_agent"]
