"""Checkpoints: resuming gives the bits of not stopping, and a wrong file is refused by name."""

import pytest
import torch

from mecsim.agents import make_agent
from mecsim.agents.ddqn import DDQNSettings
from mecsim.agents.into import INTOSettings
from mecsim.experiments.checkpoints import (
    CheckpointError,
    read_tensors,
    resume,
    save_checkpoint,
    write_tensors,
)
from mecsim.scenario import Scenario
from mecsim.training import train
from mecsim.twin import Deviation, DigitalTwin

SETTINGS = {
    "INTO": INTOSettings(actor_hidden=(16, 8), critic_hidden=(16, 8), batch_size=8, replay_size=20),
    "DDQN": DDQNSettings(hidden=(16, 8), batch_size=8, replay_size=20, epsilon_slots=30),
}
DEVIATION = Deviation(gain_noise=0.2, harvest_noise=0.1)


def start(agent: str, **changes):
    scenario = Scenario(devices=(3, 4), fading="ar1", state_rate="last-slot", **changes)
    return make_agent(agent, scenario, 5, settings=SETTINGS[agent]), DigitalTwin(scenario, 5, DEVIATION)


@pytest.mark.parametrize("agent", SETTINGS)
@pytest.mark.parametrize("cut", [3, 30])
def test_resuming_gives_the_same_bits_as_not_stopping(agent, cut, tmp_path):
    learner, twin = start(agent)
    whole = train(learner, twin, 45, progress=False)

    first, its_twin = start(agent)
    incomes = train(first, its_twin, cut, progress=False).tolist()
    save_checkpoint(tmp_path / "cut", first, its_twin, incomes, "key")
    second, new_twin = start(agent)
    done = resume(tmp_path / "cut", second, new_twin, "key")
    resumed = train(second, new_twin, 45, done, progress=False)

    assert resumed.tolist() == whole.tolist()
    for name, value in learner.tensors().items():
        assert torch.equal(value, second.tensors()[name]), name


def test_another_runs_checkpoint_is_refused(tmp_path):
    learner, twin = start("INTO")
    save_checkpoint(tmp_path / "one", learner, twin, [], "one run")
    with pytest.raises(CheckpointError, match="'one run', not of 'another'"):
        resume(tmp_path / "one", learner, twin, "another")


def test_a_damaged_or_missing_file_is_refused_by_name(tmp_path):
    write_tensors(tmp_path / "policy", {"weight": torch.ones(2)}, {"agent": "INTO"})
    assert read_tensors(tmp_path / "policy").about == {"agent": "INTO"}
    (tmp_path / "short").write_bytes((tmp_path / "policy").read_bytes()[:-4])
    for name in ("short", "absent"):
        with pytest.raises(CheckpointError, match=f"{name} is not a readable checkpoint"):
            read_tensors(tmp_path / name)
