"""The small trained agents: stored without pickle, checked, and refused in one sentence where something is wrong."""

from pathlib import Path

import numpy as np
import pytest
from stored import put
from typer.testing import CliRunner

from mecsim.experiments import policies
from mecsim.experiments.checkpoints import read_tensors, write_tensors
from mecsim.experiments.cli import app
from mecsim.experiments.policies import (
    POLICIES,
    PolicyError,
    PolicyStore,
    about_policy,
    deployed,
    load_policy,
    path_of,
    policy_job,
)
from mecsim.experiments.runs import EVALUATION_WORLDS, Run
from mecsim.experiments.store import NUMERICS
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem
from mecsim.training import rollout

TINY = {
    "INTO": Run(
        agent="INTO", settings={"actor_hidden": [8], "critic_hidden": [4]}, slots=70, evaluation_slots=3
    ),
    "DDQN": Run(agent="DDQN", settings={"hidden": [8]}, slots=70, evaluation_slots=3),
}


@pytest.fixture
def tiny(monkeypatch, tmp_path) -> Path:
    """Both agents, with a layer of 8, trained for a few updates."""
    monkeypatch.setattr(policies, "POLICIES", TINY)
    return put(PolicyStore(tmp_path), map(policy_job, TINY)).folder


class TestStored:
    @pytest.mark.parametrize("name", POLICIES)
    def test_is_small_and_earns_what_it_says(self, name) -> None:
        assert path_of(name).stat().st_size < 1_000_000
        about, learner, run = about_policy(path_of(name)), load_policy(name), POLICIES[name]
        assert (about["run"], about["numerics"]) == (run.model_dump(mode="json"), NUMERICS)
        assert {"mecsim", "torch", "numpy"} <= about["versions"].keys()
        plant = PhysicalSystem(run.scenario(), EVALUATION_WORLDS + run.seed)
        income = rollout(learner, plant, run.evaluation_slots).income.mean()
        assert income == pytest.approx(about["income"], rel=0.01)

    def test_into_earns_more_than_before_its_first_update(self) -> None:
        run = POLICIES["INTO"]
        untrained = rollout(run.make_agent(), PhysicalSystem(run.scenario(), EVALUATION_WORLDS), 100)
        assert about_policy(path_of("INTO"))["income"] > untrained.income.mean() + 5


class TestMaking:
    def test_the_command_prints_the_files(self, monkeypatch) -> None:
        monkeypatch.setattr(policies, "make_policies", lambda: [Path("a.safetensors")])
        assert CliRunner().invoke(app, ["policies"]).output == "a.safetensors\n"


class TestProblems:
    def test_a_missing_or_damaged_file_is_refused_in_one_sentence(self, tiny) -> None:
        path_of("DDQN", tiny).unlink()
        path = path_of("INTO", tiny)
        path.write_bytes(path.read_bytes()[:200])
        for name in TINY:
            with pytest.raises(PolicyError) as error:
                load_policy(name, tiny)
            assert "\n" not in str(error.value)
            assert str(error.value).startswith(f"{path_of(name, tiny)} is not a readable policy of mecsim")

    def test_a_file_of_something_else(self, tiny) -> None:
        path_of("DDQN", tiny).rename(path_of("INTO", tiny))
        with pytest.raises(PolicyError, match="is the policy of 'DDQN', not of 'INTO'"):
            load_policy("INTO", tiny)

    def test_layers_that_do_not_fit_the_settings(self, tiny) -> None:
        path = path_of("INTO", tiny)
        tensors, about = read_tensors(path)
        about["run"]["settings"]["actor_hidden"] = [9]
        write_tensors(path, tensors, about)
        with pytest.raises(PolicyError, match=r"holds other layers than its settings ask for"):
            load_policy("INTO", tiny)

    def test_no_such_agent(self) -> None:
        with pytest.raises(
            SettingError, match="policy = 'OLNPO' is not allowed: it should be one of INTO, DDQN"
        ):
            path_of("OLNPO")


class TestDeployed:
    def test_algorithm_1_goes_by_the_new_scenario_and_the_eyes_stay(self, tiny) -> None:
        learner = load_policy("INTO", tiny)
        changed = Scenario(bandwidth_hz=2e6, interference=0.5)
        moved = deployed(learner, changed)
        assert moved.scenario is changed
        assert moved.encoder is learner.encoder
        assert learner.scenario == Scenario()
        state = PhysicalSystem(changed, 0).state
        np.testing.assert_array_equal(moved.proto_action(state).peer, learner.proto_action(state).peer)

    def test_other_devices_are_refused(self, tiny) -> None:
        with pytest.raises(
            SettingError, match=r"devices = \(3, 3, 3\) is not allowed: the networks were trained"
        ):
            deployed(load_policy("DDQN", tiny), Scenario(devices=(3, 3, 3)))
