"""The panels of section V: what they sweep, who is run, and a change of the environment halfway."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from mecsim.experiments.computing import compute, measure, path_of

from mecsim.agents import AGENTS
from mecsim.experiments import computing
from mecsim.experiments.checkpoints import resume
from mecsim.experiments.panels import (
    ALTERNATIVES,
    BEYOND,
    BY_RULES,
    COMPARED,
    EXPERIMENTS,
    PROFILES,
    TRAINED_AT,
    point_runs,
    runs_of,
)
from mecsim.experiments.runs import EVALUATION_WORLDS, LEARNERS, Run
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem
from mecsim.training import rollout, train
from mecsim.twin import Deviation, DigitalTwin

PANELS = ["fig3a", "fig3b", "fig4a", "fig4b", "fig5a", "fig5b", "fig6a", "fig6b", "fig6c", "fig6d"]


def on_axis(name: str) -> list[float]:
    return [point.x for point in EXPERIMENTS[name].points]


def test_every_panel_of_figs_3_to_6_is_there_under_both_presets():
    assert list(EXPERIMENTS)[: len(PANELS)] == PANELS
    assert all(EXPERIMENTS[name].presets == ("calibrated", "printed") for name in PANELS)


@pytest.mark.parametrize(
    ("panel", "values"),
    [
        ("fig4a", [1, 1.5, 2, 2.5, 3]),
        ("fig4b", [1, 1.1, 1.2, 1.3, 1.4]),
        ("fig5a", [0.2, 0.4, 0.6, 0.8, 1, 1.2]),
        ("fig5b", [0.2, 0.4, 0.6, 0.8, 1, 1.2]),
        ("fig6a", [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]),
        ("fig6b", [3, 4, 5, 6, 7, 8]),
        ("fig6c", [1, 1.5, 2, 2.5, 3, 3.5, 4]),
        ("fig6d", [0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2]),
    ],
)
def test_a_panel_sweeps_what_the_paper_says(panel, values):
    assert on_axis(panel) == pytest.approx(values)


@pytest.mark.parametrize(
    ("panel", "last", "field", "expected"),
    [
        ("fig4a", -1, "award_scale", (3, 1, 1)),
        ("fig4b", -1, "density_scale", (1, 1.4, 1.4)),
        ("fig5a", 0, "gain_scale", (0.2, 0.2, 0.2)),
        ("fig5b", 0, "harvest_scale", (0.2, 0.2, 0.2)),
        ("fig6a", -1, "size_scale", (1.6, 1.6, 1.6)),
        ("fig6b", 0, "cpu_hz", (3e9, 3e9, 3e9)),
        ("fig6c", -1, "deadline_scale", (4, 4, 4)),
        ("fig6d", 0, "bandwidth_hz", (6e5, 6e5, 6e5)),
    ],
)
def test_a_point_changes_one_parameter_of_the_right_stations(panel, last, field, expected):
    run = point_runs(EXPERIMENTS[panel].points[last], PROFILES["paper"], "printed", 0)[0]
    assert getattr(run.scenario(), field) == pytest.approx(expected)
    assert list(run.changes) == [field]


def test_fig6_retrains_the_learners_at_every_point_and_compares_all_algorithms():
    for run in runs_of(["fig6b"], "paper", "printed", seeds=1):
        assert run.slots == (2000 if run.agent in LEARNERS else 0)
        assert run.evaluation_slots == 500
        assert not run.settings
    agents = {run.agent for run in runs_of(["fig6b"])}
    assert set(COMPARED) < agents == set(AGENTS)


def test_five_seeds_are_wanted_of_calibrated_and_three_of_printed():
    assert {run.seed for run in runs_of(["fig4a"])} == {0, 1, 2, 3, 4}
    assert {run.seed for run in runs_of(["fig4a"], preset="printed")} == {0, 1, 2}


def test_the_point_without_a_change_is_one_run_for_all_panels():
    shared = [{run.key for run in runs_of([name], seeds=1) if run.agent == "INTO"} for name in PANELS]
    assert len(set.intersection(*shared)) == 1


def test_a_changed_scenario_applies_at_every_point_but_not_over_the_sweep():
    runs = runs_of(["fig6b"], "quick", seeds=1, changes={"tau_s": 4.0, "cpu_hz": 1e9})
    assert {run.scenario().tau_s for run in runs} == {4.0}
    assert {run.scenario().cpu_hz for run in runs} == {(x * 1e9,) * 3 for x in on_axis("fig6b")}


def test_the_quick_profile_gives_every_learner_small_networks():
    runs = {run.agent: run for run in runs_of(["fig6a"], "quick", seeds=1)}
    assert runs["INTO"].settings["actor_hidden"] == runs["untrained"].settings["actor_hidden"] == (300, 100)
    assert runs["DDQN"].settings["hidden"] == (100, 60)


def test_fewer_devices_share_so_much_less_cpu():
    for run in runs_of(["devices"], seeds=1):
        scenario = run.scenario()
        assert scenario.per_bs("cpu_hz").sum() / scenario.n_devices == pytest.approx(15e9 / 165, rel=0.04)
    assert on_axis("devices") == [17, 42, 83, 165]
    assert {run.agent for run in runs_of(["devices"])} == set(LEARNERS)


def read(content: bytes) -> pd.DataFrame:
    return pd.read_parquet(BytesIO(content))


SMALL = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}


class TestChange:
    def run(self, **changes):
        usual = {"slots": 30, "shift": {"award_scale": (3, 1, 1)}, "shift_at": 20, "evaluation_slots": 50}
        return Run(agent="INTO", settings=SMALL, **{**usual, **changes})

    def test_the_panel_compares_before_after_and_trained_on(self):
        before, after, trained_on = runs_of(["change"], seeds=1)
        assert [run.slots for run in (before, after, trained_on)] == [1000, 1000, 2000]
        assert [run.shift_at for run in (before, after, trained_on)] == [0, 1000, 1000]
        assert before.shifted().award_scale == (1,)
        assert after.shifted().award_scale == trained_on.shifted().award_scale == (3, 1, 1)
        assert after.scenario() == trained_on.scenario() == before.scenario()

    def test_a_run_without_a_change_keeps_its_key(self):
        assert Run(agent="INTO").departures().keys() == Run(agent="OLNPO").departures().keys()
        assert "shift" not in Run(agent="INTO").departures()
        assert len({Run(agent="INTO").key, self.run().key, self.run(shift_at=10).key}) == 3

    def test_training_goes_on_in_the_changed_world_with_queues_and_streams_as_they_were(self, tmp_path):
        run = self.run()
        compute(run, tmp_path)
        stored = pd.read_parquet(path_of(run, tmp_path)).query("metric == 'training income'")["value"]
        learner, old = run.make_agent(), DigitalTwin(run.scenario(), run.seed)
        first = train(learner, old, 20, progress=False)
        new = DigitalTwin(run.shifted(), run.seed)
        new.restore(old.snapshot())
        assert np.array_equal(new.state.energy_j, old.state.energy_j)
        both = train(learner, new, 30, first.tolist(), progress=False)
        assert np.array_equal(stored.to_numpy(), both.astype(np.float32))
        plain = self.run(shift={}, shift_at=0)
        compute(plain, tmp_path)
        unchanged = pd.read_parquet(path_of(plain, tmp_path)).query("metric == 'training income'")["value"]
        assert np.array_equal(stored[:21], unchanged[:21])
        assert stored[22:].mean() > unchanged[22:].mean()

    @pytest.mark.parametrize("cut", [15, 25], ids=["before the change", "after it"])
    def test_a_training_that_was_cut_off_gives_the_same_bits(self, tmp_path, monkeypatch, cut):
        run, checkpoint = self.run(), tmp_path / "training.safetensors"
        monkeypatch.setattr(computing, "CHECKPOINT_EVERY", 5)
        whole = measure(run)

        def cut_short(learner, twin, slots, incomes, progress, after_slot):
            def then(incomes):
                after_slot(incomes)
                if len(incomes) == cut + 2:
                    raise KeyboardInterrupt

            return train(learner, twin, slots, incomes, progress, then)

        with monkeypatch.context() as patched:
            patched.setattr("mecsim.training.train", cut_short)
            with pytest.raises(KeyboardInterrupt):
                measure(run, checkpoint)
        left = run.make_agent()
        assert len(resume(checkpoint, left, DigitalTwin(run.shifted(), run.seed), run.key)) == cut
        assert measure(run, checkpoint) == whole

    def test_only_what_an_agent_sees_in_its_state_may_change(self):
        with pytest.raises(SettingError, match=r"shift = .*award_scale.*alone"):
            self.run(shift={"bandwidth_hz": 2e6})


class TestImperfectTwin:
    def run(self, **deviation):
        return Run(agent="INTO", settings=SMALL, slots=30, evaluation_slots=20, deviation=deviation)

    def test_a_run_with_a_perfect_twin_keeps_its_key(self):
        assert self.run().key == self.run(gain_noise=0.0).key != self.run(gain_noise=0.1).key
        assert "deviation" not in self.run(gain_bias=1.0).departures()

    def test_it_trains_in_the_twin_and_decides_on_the_plant_by_what_the_twin_tells(self):
        run = self.run(gain_noise=0.3, harvest_bias=1.1)
        stored = read(measure(run))
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

    def test_an_unknown_field_is_refused_by_name(self):
        with pytest.raises(
            SettingError, match="Deviation has no field 'gain_nois': did you mean 'gain_noise'"
        ):
            self.run(gain_nois=0.1).departures()


class TestBeyondThePaper:
    @pytest.mark.parametrize("name", BEYOND)
    def test_every_point_can_be_run(self, name):
        for preset in EXPERIMENTS[name].presets:
            runs = runs_of([name], "paper", preset, seeds=1)
            assert len({run.key for run in runs}) == len(runs) > 1
            assert all(run.make_agent() for run in runs if run.slots == 0)

    @pytest.mark.parametrize("name", BEYOND)
    def test_labels_tell_the_points_apart(self, name):
        labels = [point.label for point in EXPERIMENTS[name].points]
        assert len(set(labels)) == len(labels)

    @pytest.mark.parametrize("name", BY_RULES)
    def test_the_twins_deviate_more_and_more_from_one_that_is_as_good_as_can_be(self, name):
        assert on_axis(name) == sorted(on_axis(name))
        best = {"twin-caution": 1.0, "twin-stale": 1.0}.get(
            name, 0.0 if "noise" in name or "rata" in name else 1.0
        )
        perfect = next(point for point in EXPERIMENTS[name].points if point.x == best)
        run = point_runs(perfect, PROFILES["paper"], "calibrated", 0)[0]
        assert run.perfect_twin or name == "twin-caution"

    def test_into_is_trained_at_places_of_those_axes_the_perfect_twin_among_them(self):
        trained = {point.label for point in EXPERIMENTS["into-in-twins"].points}
        assert trained == {f"{name} {x:g}" for name, places in TRAINED_AT.items() for x in places}
        runs = point_runs(EXPERIMENTS["into-in-twins"].points[0], PROFILES["paper"], "calibrated", 0)
        assert [run.key for run in runs] == [Run(agent="INTO").key]

    def test_the_shared_points_cost_nothing(self):
        default = Run(agent="INTO").key
        for name in ("ablations", "assumptions", "into-in-twins"):
            assert default in {run.key for run in runs_of([name])}

    def test_what_goes_beyond_the_paper_has_few_seeds(self):
        assert {run.seed for run in runs_of(["assumptions", "fig3a"])} == {0, 1, 2, 3, 4}
        assert {run.seed for run in runs_of(["assumptions"])} == {0, 1, 2}

    def test_every_alternative_differs_from_the_default(self):
        for one in ALTERNATIVES:
            run = Run(
                agent=one.agents[0], changes=one.changes, settings=one.settings, refinement=one.refinement
            )
            assert run.key != Run(agent=one.agents[0]).key
