"""The paper's agents, its baselines, two controls and two greedy rules."""

from mecsim.agents.base import AGENTS, Agent, AgentName, agent_class, make_agent

__all__ = ["AGENTS", "Agent", "AgentName", "agent_class", "make_agent"]
