"""The paper's agents, its baselines, two controls, and beyond the paper two greedy rules and the planner."""

from mecsim.agents.base import AGENTS, Agent, AgentName, agent_class, make_agent

__all__ = ["AGENTS", "Agent", "AgentName", "agent_class", "make_agent"]
