"""A run: its name, its training and evaluation, and a training that is cut off and goes on with the same bits."""

import json
import re
from collections.abc import Callable as Function

import numpy as np
import pandas as pd
import pytest
import torch
from stored import put_run

from mecsim.agents import make_agent
from mecsim.agents.ddqn import DDQNSettings
from mecsim.agents.into import INTOSettings
from mecsim.experiments import runs
from mecsim.experiments.checkpoints import (
    CheckpointError,
    read_tensors,
    resume,
    save_checkpoint,
    write_tensors,
)
from mecsim.experiments.panels import RunStore
from mecsim.experiments.runs import (
    EVALUATION_WORLDS,
    Run,
    changed_defaults,
    evaluation_world,
    measure,
    measure_many,
    record_defaults,
    reference_states,
    run_job,
    train_agent,
)
from mecsim.experiments.store import NUMERICS, DamagedFile, read_meta
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem, outcome
from mecsim.training import Callback, rollout, train
from mecsim.twin import Deviation, DigitalTwin

SMALL = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}


def small_run(seed: int = 0, **changes) -> Run:
    settings = {"agent": "INTO", "settings": SMALL, "slots": 30, "evaluation_slots": 5, "seed": seed}
    return Run(**{**settings, **changes})


def stop_at(slot: int) -> Function:
    """What a callback does before a slot, until it interrupts the training."""
    seen = []

    def look(*action: object) -> None:
        seen.append(action)
        if len(seen) > slot:
            raise KeyboardInterrupt

    return look


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"slots": 31},
        {"evaluation_slots": 6},
        {"preset": "printed"},
        {"changes": {"tau_s": 4.0}},
        {"changes": {"award_scale": (2.0, 1.0, 1.0)}},
        {"refinement": {"reading": "one-shot"}},
        {"settings": {**SMALL, "gamma": 0.5}},
        {"deviation": {"gain_noise": 0.1}},
        {"evaluation": {"devices": "the twin's"}},
        {"evaluation": {"exploring": True}},
        {"shift": {"award_scale": 2.0}, "shift_at": 10},
        {"shift": {"award_scale": 2.0}, "shift_at": 20},
    ],
)
def test_the_key_depends_on_every_setting(change):
    keys = {small_run().key, small_run(**change).key, small_run(shift={"award_scale": 3.0}, shift_at=20).key}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "spelt_out",
    [
        {"settings": {**SMALL, "gamma": 0.99}},
        {"changes": {"tau_s": 3.0, "cpu_hz": (5e9, 5e9, 5e9)}},
        {"changes": {"award_scale": 1.0}},
        {"deviation": {"gain_noise": 0.0, "gain_bias": 1.0}},
        {"evaluation": {"devices": "other", "exploring": False}},
    ],
)
def test_the_key_does_not_depend_on_how_a_default_is_spelt(spelt_out):
    assert small_run(**spelt_out).key == small_run().key
    assert small_run(**spelt_out).departures() == small_run().departures()


def test_a_rule_with_settings_keeps_its_key_at_their_defaults():
    usual = Run(agent="LPWPO", slots=0)
    assert usual.key == "LPWPO-calibrated-seed0-81cf6695af6d"
    assert usual.replace(settings={"overload": "any task"}).key == usual.key
    assert usual.replace(settings={"overload": "savable tasks"}).key != usual.key


def test_the_key_depends_on_the_numerics(monkeypatch):
    before = small_run().key
    monkeypatch.setattr("mecsim.experiments.runs.NUMERICS", NUMERICS + 1)
    assert small_run().key != before


def test_a_run_is_stored_with_what_made_it_and_gives_the_same_bits_again(tmp_path):
    run = small_run()
    path = put_run(run, tmp_path)
    table = pd.read_parquet(path)
    again = measure(run).astype(dict.fromkeys(("run", "agent", "preset", "changes", "metric"), str))
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    curve = table[table["metric"] == "training income"]
    assert list(curve["slot"]) == list(range(30))
    assert set(table.loc[table["slot"] == -1, "metric"]) >= {"income", "offloading BS-1", "idle CPU BS-3"}
    meta = read_meta(path)
    assert Run(**meta["run"]).key == run.key
    assert {"versions", "revision", "numerics"} <= set(meta)


def test_the_checkpoint_goes_once_the_run_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "CHECKPOINT_EVERY", 10)
    checkpoint, run = tmp_path / "training.safetensors", small_run()
    job, store = run_job(run, checkpoint), RunStore(tmp_path / "runs")
    content = store.content(job)
    assert checkpoint.exists()
    store.write(job, content)
    assert not checkpoint.exists()


def test_a_torn_checkpoint_is_named_and_the_training_starts_anew(tmp_path, capsys):
    checkpoint, run = tmp_path / "training.safetensors", small_run()
    checkpoint.write_bytes(b"torn")
    pd.testing.assert_frame_equal(measure(run, checkpoint), measure(run), check_exact=True)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{checkpoint} is not a readable checkpoint of mecsim (")
    assert said.endswith("). The training starts anew.")


def test_reference_states_are_the_same_for_every_agent_and_have_an_income_each():
    trained = small_run(slots=0, evaluation_slots=100)
    rule = Run(agent="all-on", slots=0, evaluation_slots=100)
    states = list(reference_states(trained))
    assert [state.slot for state in states] == [49, 99]
    for one, other in zip(states, reference_states(rule), strict=True):
        assert all(np.array_equal(left, vars(other)[name]) for name, left in vars(one).items())
    table = measure(trained).query("metric == 'reference income'")
    agent = trained.make_agent()
    for state, found in zip(states, table.itertuples(), strict=True):
        expected = outcome(trained.scenario(), state, agent.act(state)).income
        assert (found.slot, found.value) == (state.slot, np.float32(expected))


@pytest.mark.parametrize("name", ["INTO", "DDQN"])
def test_where_a_reward_is_retold_what_comes_to_be_offered_is_stored_too(name):
    settings = SMALL if name == "INTO" else {"hidden": (16, 8), "batch_size": 8}
    usual, retold, constant = (
        Run(agent=name, settings={**settings, **more}, slots=20, evaluation_slots=100)
        for more in ({}, {"reward_offset": -1.0}, {"reward_slope": 0.0, "reward_offset": 0.5})
    )
    tables = {run.key: measure(run) for run in (usual, retold, constant)}
    more = {"offered", "x"} if name == "INTO" else {"offered"}
    assert set(tables[retold.key]["metric"]) - set(tables[usual.key]["metric"]) == more
    assert retold.stackable() == constant.stackable() != usual.stackable()
    together = measure_many([retold, constant]).tables
    for run, table in zip((retold, constant), together.values(), strict=True):
        assert table["value"].to_numpy() == pytest.approx(tables[run.key]["value"].to_numpy(), rel=1e-5)
        found = table.pivot_table("value", "slot", "metric", observed=True)
        agent = run.make_agent()
        train(agent, DigitalTwin(run.scenario(), 0), 20, progress=False)
        for state in reference_states(run):
            (offer,) = agent.offers(state)
            assert found.loc[state.slot, "offered"] == pytest.approx(np.mean(offer.placement >= 0))
            if name == "INTO":
                assert found.loc[state.slot, "x"] == pytest.approx(agent.proto_action(state).offload.mean())


class TestChange:
    def run(self, **changes):
        usual = {"slots": 30, "shift": {"award_scale": (3, 1, 1)}, "shift_at": 20, "evaluation_slots": 50}
        return Run(agent="INTO", settings=SMALL, **{**usual, **changes})

    def test_training_goes_on_in_the_changed_world_with_queues_and_streams_as_they_were(self):
        run = self.run()
        stored = measure(run).query("metric == 'training income'")["value"]
        learner, old = run.make_agent(), DigitalTwin(run.scenario(), run.seed)
        first = train(learner, old, 20, progress=False)
        new = DigitalTwin(run.shifted(), run.seed)
        new.restore(old.snapshot())
        assert np.array_equal(new.state.energy_j, old.state.energy_j)
        both = train(learner, new, 30, first.tolist(), progress=False)
        assert np.array_equal(stored.to_numpy(), both.astype(np.float32))
        plain = self.run(shift={}, shift_at=0)
        unchanged = measure(plain).query("metric == 'training income'")["value"]
        assert np.array_equal(stored[:21], unchanged[:21])
        assert stored[22:].mean() > unchanged[22:].mean()

    def test_the_frozen_policy_is_evaluated_in_the_changed_world_of_its_seed(self):
        run = self.run(seed=1)
        learner = run.make_agent()
        train_agent(run, learner)
        plant = PhysicalSystem(run.scenario().replace(award_scale=(3, 1, 1)), EVALUATION_WORLDS + 1)
        income = rollout(learner, plant, 50).income.mean()
        assert measure(run).query("metric == 'income'")["value"].item() == np.float32(income)

    @pytest.mark.parametrize("cut", [15, 25], ids=["before the change", "after it"])
    def test_a_training_that_was_cut_off_gives_the_same_bits(self, tmp_path, monkeypatch, cut):
        run, checkpoint = self.run(), tmp_path / "training.safetensors"
        monkeypatch.setattr(runs, "CHECKPOINT_EVERY", 5)
        whole = measure(run)

        with monkeypatch.context() as patched:
            patched.setattr(Callback, "after_action", stop_at(cut + 1))
            with pytest.raises(KeyboardInterrupt):
                measure(run, checkpoint)
        left = run.make_agent()
        assert len(resume(checkpoint, left, DigitalTwin(run.shifted(), run.seed), run.key)) == cut
        pd.testing.assert_frame_equal(measure(run, checkpoint), whole, check_exact=True)


def test_a_rule_is_watched_in_the_training_world_of_its_seed():
    run = Run(agent="OLNPO", slots=6, evaluation_slots=1, seed=3)
    own = rollout(run.make_agent(), DigitalTwin(Scenario(), 3), 6).income
    watched = measure(run).query("metric == 'training income'")["value"]
    assert watched.tolist() == np.float32(own).tolist()


class TestImperfectTwin:
    def run(self, **deviation):
        return Run(agent="INTO", settings=SMALL, slots=30, evaluation_slots=20, deviation=deviation)

    def test_it_trains_in_the_twin_and_decides_on_the_plant_by_what_the_twin_tells(self):
        run = self.run(gain_noise=0.3, harvest_bias=1.1)
        stored = measure(run)
        learner, deviation = run.make_agent(), Deviation(gain_noise=0.3, harvest_bias=1.1)
        trained = train(learner, DigitalTwin(run.scenario(), 0, deviation), 30, progress=False)
        assert np.array_equal(
            stored.query("metric == 'training income'")["value"], trained.astype(np.float32)
        )
        plant = PhysicalSystem(run.scenario(), EVALUATION_WORLDS)
        seen = DigitalTwin(run.scenario(), EVALUATION_WORLDS, deviation)
        income = rollout(learner, plant, 20, seen).income.mean()
        assert stored.query("metric == 'income'")["value"].item() == np.float32(income)
        assert not (stored["metric"] == "reference income").any()

    def test_an_outdated_twin_is_what_the_agent_knows_but_not_what_the_plant_is(self):
        run = self.run(outdated={"mean_gain": 0.1})
        assert run.make_agent().scenario.mean_gain == run.believed().mean_gain == 0.1
        assert run.scenario().mean_gain == run.shifted().mean_gain == 0.5


FAR_AND_NEAR = {"changes": {"fading": "path_loss", "initial_energy_j": 0.05}, "evaluation_slots": 60}


class TestEvaluation:
    def first_state(self, **evaluation):
        return next(reference_states(small_run(evaluation=evaluation, **FAR_AND_NEAR)))

    def test_the_twin_s_own_devices_are_at_its_places_with_its_p_and_all_else_is_as_before(self):
        usual, own = self.first_state(), self.first_state(devices="the twin's")
        run = small_run(evaluation={"devices": "the twin's"}, **FAR_AND_NEAR)
        twin = DigitalTwin(run.scenario(), run.seed)
        assert np.array_equal(own.power_w, twin.state.power_w)
        assert not np.array_equal(usual.power_w, twin.state.power_w)
        places = [PhysicalSystem(run.scenario(), seed)._sources._mean_gain for seed in (EVALUATION_WORLDS, 0)]
        assert own.gain == pytest.approx(usual.gain / places[0] * places[1])
        for name in ("size_bits", "density_cycles_per_bit", "deadline_s", "award", "harvest_j"):
            assert np.array_equal(getattr(own, name), getattr(usual, name)), name
        rule = Run(agent="all-on", slots=0, evaluation={"devices": "the twin's"}, **FAR_AND_NEAR)
        plant = evaluation_world(rule)
        assert np.array_equal(plant.state.power_w, twin.state.power_w)
        income = rollout(rule.make_agent(), plant, 60).income.mean()
        assert measure(rule).query("metric == 'income'")["value"].item() == np.float32(income)

    def test_an_agent_that_explores_when_deployed_has_its_noise_and_learns_nothing(self):
        run = small_run(evaluation={"exploring": True})
        learner = run.make_agent()
        train_agent(run, learner)
        plant, incomes = evaluation_world(run), []
        for _ in range(run.evaluation_slots):
            incomes.append(plant.step(learner.explore(plant.state)).income)
        table = measure(run)
        assert table.query("metric == 'income'")["value"].item() == np.float32(np.mean(incomes))
        silent = measure(run.replace(settings={**SMALL, "noise": 0.0}))
        frozen = measure(small_run(settings={**SMALL, "noise": 0.0}))
        assert np.array_equal(silent["value"], frozen["value"])

    def test_what_is_stored_of_a_run_from_before_there_was_a_choice_stays_as_it_was(self):
        assert "evaluation" not in small_run().model_dump(mode="json")
        run = small_run(evaluation={"exploring": True})
        assert Run(**run.model_dump(mode="json")) == run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shift": {"bandwidth_hz": 2e6}}, r"shift = .*award_scale.*alone"),  # an agent could not see it
        ({"deviation": {"gain_nois": 0.1}}, "Deviation has no field 'gain_nois': did you mean 'gain_noise'"),
        ({"agent": "OLNPO"}, r"settings = .* is not allowed: OLNPO has no settings"),
        ({"evaluation": {"devices": "mine"}}, "Evaluation.devices = 'mine' is not allowed"),
        (
            {"agent": "OLNPO", "settings": {}, "evaluation": {"exploring": True}},
            "Evaluation.exploring = True is not allowed: OLNPO never explores",
        ),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(change, message):
    with pytest.raises(SettingError, match=message):
        small_run(**change).departures()


SETTINGS = {
    "INTO": INTOSettings(actor_hidden=(16, 8), critic_hidden=(16, 8), batch_size=8, replay_size=20),
    "DDQN": DDQNSettings(hidden=(16, 8), batch_size=8, replay_size=20, epsilon_slots=30),
}
DEVIATION = Deviation(gain_noise=0.2, harvest_noise=0.1)


def start(agent: str, **changes):
    scenario = Scenario(devices=(3, 4), fading="ar1", state_rate="last-slot", **changes)
    return make_agent(agent, scenario, 5, settings=SETTINGS[agent]), DigitalTwin(scenario, 5, DEVIATION)


@pytest.mark.parametrize(("agent", "cut"), [("INTO", 30), ("DDQN", 3), ("DDQN", 30)])
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
    assert read_tensors(tmp_path / "policy")[1] == {"agent": "INTO"}
    (tmp_path / "short").write_bytes((tmp_path / "policy").read_bytes()[:-4])
    for name in ("short", "absent"):
        with pytest.raises(CheckpointError, match=f"{name} is not a readable checkpoint"):
            read_tensors(tmp_path / name)


@pytest.fixture
def path(tmp_path):
    """The defaults in use, written down."""
    assert changed_defaults(tmp_path / "defaults.json") == []
    record_defaults(tmp_path / "defaults.json")
    return tmp_path / "defaults.json"


def rewrite(path, change) -> None:
    written = json.loads(path.read_text())
    change(written)
    path.write_text(json.dumps(written))


def test_what_is_recorded_is_what_is_in_use(path) -> None:
    assert changed_defaults(path) == []
    recorded = json.loads(path.read_text())["defaults"]
    assert recorded["Scenario"]["tau_s"] == 3.0
    assert recorded["INTOSettings"]["actor_hidden"] == [3000, 1000]
    agents = {"INTOSettings", "DDQNSettings", "LPWPOSettings", "PlannerSettings"}
    assert set(recorded) == {"Scenario", "Refinement", "Deviation", "Evaluation", *agents}


def test_torn_defaults_are_named(path) -> None:
    path.write_text("[")
    with pytest.raises(DamagedFile, match=r"defaults\.json is not readable; delete it, and `mecsim run`"):
        changed_defaults(path)


@pytest.mark.parametrize(
    ("record", "changed", "said"),
    [
        ("Scenario", {"tau_s": 4.0}, r"the default of Scenario\.tau_s was 4\.0 .* is 3\.0 now"),
        ("Refinement", {"colour": "blue"}, r"the default of Refinement\.colour was 'blue' .* is None now"),
    ],
)
def test_a_changed_default_or_one_that_is_gone_is_named(path, record, changed, said) -> None:
    rewrite(path, lambda written: written["defaults"][record].update(changed))
    (sentence,) = changed_defaults(path)
    assert re.match(said, sentence)
    if record == "Scenario":  # it is never written over
        record_defaults(path)
        assert changed_defaults(path) == [sentence]


@pytest.mark.parametrize(
    "change",
    [
        lambda written: written["defaults"]["Scenario"].pop("tau_s"),
        lambda written: written.update(numerics=NUMERICS - 1, defaults={"Scenario": {"tau_s": 4.0}}),
    ],
    ids=["a new field", "other numerics"],
)
def test_a_new_field_is_written_down_beside_the_others_and_other_numerics_start_anew(path, change) -> None:
    before = json.loads(path.read_text())
    rewrite(path, change)
    assert changed_defaults(path) == []
    record_defaults(path)
    assert json.loads(path.read_text()) == before
