"""The agents with networks, small enough to be stored: trained ones, and one that has learnt nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mecsim.experiments.policies import FOLDER, POLICIES, load_policy

if TYPE_CHECKING:
    from mecsim.agents.learner import Learner


def trained_agents(folder: Path = FOLDER) -> dict[str, Learner]:
    """The small INTO and DDQN, and INTO before its first update, by name; this imports torch.

    Raises:
        PolicyError: a file is missing, damaged, or of another agent; the message says which.
    """
    learners = {name: load_policy(name, folder) for name in POLICIES}
    return {**learners, "untrained": POLICIES["INTO"].make_agent()}
