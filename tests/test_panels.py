"""The panels of section V: what they sweep, who is run, and a change of the environment halfway."""

import pytest

from mecsim.agents import AGENTS
from mecsim.experiments.panels import (
    ALTERNATIVES,
    BEYOND,
    BY_RULES,
    COMPARED,
    EXPERIMENTS,
    PROFILES,
    runs_of,
)
from mecsim.experiments.runs import LEARNERS, Run
from mecsim.settings import SettingError
from mecsim.twin import Deviation

PANELS = ["fig3a", "fig3b", "fig4a", "fig4b", "fig5a", "fig5b", "fig6a", "fig6b", "fig6c", "fig6d"]


def on_axis(name: str) -> list[float]:
    return [point.x for point in EXPERIMENTS[name].points]


def test_every_panel_of_figs_3_to_6_is_there_under_both_presets():
    assert list(EXPERIMENTS)[: len(PANELS)] == PANELS
    assert all(EXPERIMENTS[name].presets == ("calibrated", "printed") for name in PANELS)


@pytest.mark.parametrize(
    ("panel", "values", "field", "last"),
    [
        ("fig4a", [1, 1.5, 2, 2.5, 3], "award_scale", (3, 1, 1)),
        ("fig4b", [1, 1.1, 1.2, 1.3, 1.4], "density_scale", (1, 1.4, 1.4)),
        ("fig5a", [0.2, 0.4, 0.6, 0.8, 1, 1.2], "gain_scale", (1.2, 1.2, 1.2)),
        ("fig5b", [0.2, 0.4, 0.6, 0.8, 1, 1.2], "harvest_scale", (1.2, 1.2, 1.2)),
        ("fig6a", [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6], "size_scale", (1.6, 1.6, 1.6)),
        ("fig6b", [3, 4, 5, 6, 7, 8], "cpu_hz", (8e9, 8e9, 8e9)),
        ("fig6c", [1, 1.5, 2, 2.5, 3, 3.5, 4], "deadline_scale", (4, 4, 4)),
        ("fig6d", [0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2], "bandwidth_hz", (2e6, 2e6, 2e6)),
    ],
)
def test_a_panel_sweeps_one_parameter_of_the_right_stations_as_the_paper_says(panel, values, field, last):
    assert on_axis(panel) == pytest.approx(values)
    (run, *_) = EXPERIMENTS[panel].points[-1].runs(PROFILES["paper"], "printed", 0)
    assert getattr(run.scenario(), field) == pytest.approx(last)
    assert list(run.changes) == [field]


def test_fig6_retrains_the_learners_at_every_point_and_compares_all_algorithms():
    for run in runs_of(["fig6b"], "paper", "printed", seeds=1):
        assert run.slots == (2000 if run.agent in LEARNERS else 0)
        assert run.evaluation_slots == 500
        assert not run.settings
    agents = {run.agent for run in runs_of(["fig6b"])}
    assert set(COMPARED) < agents == set(AGENTS)


@pytest.mark.parametrize(
    ("names", "preset", "seeds"),
    [
        (["fig4b"], "calibrated", 5),
        (["fig5a"], "printed", 3),
        (["assumptions"], "calibrated", 3),
        (["assumptions", "fig6c"], "calibrated", 5),
        (["unlearnt"], "printed", 20),
        (["change"], "printed", 40),
        (["rewards"], "calibrated", 10),
    ],
)
def test_five_seeds_are_wanted_of_calibrated_and_three_of_printed_and_of_what_goes_beyond_the_paper(
    names, preset, seeds
):
    assert {run.seed for run in runs_of(names, preset=preset)} == set(range(seeds))


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


def test_the_panel_of_a_change_compares_before_after_and_trained_on():
    runs = runs_of(["change"], seeds=1)
    assert [run.slots for run in runs] == [1000, 1000, 2000, 2000]
    assert [run.shift_at for run in runs] == [
        0,
        1000,
        1000,
        2000,
    ]  # the last trains as long without the change
    assert [run.shifted().award_scale for run in runs] == [(1,), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
    assert len({run.scenario() for run in runs}) == 1


def test_what_does_not_learn_is_watched_over_the_training_slots_where_that_is_asked():
    assert {(run.agent, run.slots) for run in runs_of(["unlearnt"], seeds=1)} == {
        (agent, 2000) for agent in ("all-on", "OLNPO", "untrained", "thrifty")
    }


def test_fewer_devices_share_so_much_less_cpu():
    for run in runs_of(["devices"], seeds=1):
        scenario = run.scenario()
        assert scenario.per_bs("cpu_hz").sum() / scenario.n_devices == pytest.approx(15e9 / 165, rel=0.04)
    assert on_axis("devices") == [17, 42, 83, 165]
    assert {run.agent for run in runs_of(["devices"])} == set(LEARNERS)


class TestBeyondThePaper:
    @pytest.mark.parametrize("name", BEYOND)
    def test_every_point_has_a_label_of_its_own_and_can_be_run(self, name):
        labels = [point.label for point in EXPERIMENTS[name].points]
        assert len(set(labels)) == len(labels)
        for preset in EXPERIMENTS[name].presets:
            runs = runs_of([name], "paper", preset, seeds=1)
            assert len({run.key for run in runs}) == len(runs) > 0
            assert all(run.make_agent() for run in runs if run.slots == 0)

    @pytest.mark.parametrize("name", BY_RULES)
    def test_the_twins_deviate_more_and_more_from_one_that_is_as_good_as_can_be(self, name):
        assert on_axis(name) == sorted(on_axis(name))
        best = {"twin-caution": 1.0, "twin-stale": 1.0}.get(
            name, 0.0 if "noise" in name or "rata" in name else 1.0
        )
        perfect = next(point for point in EXPERIMENTS[name].points if point.x == best)
        run = perfect.runs(PROFILES["paper"], "calibrated", 0)[0]
        assert run.twin_deviation() == Deviation() or name == "twin-caution"

    def test_the_shared_points_cost_nothing(self):
        default = Run(agent="INTO").key
        for name in ("ablations", "assumptions", "rewards", "processors", "into-in-twins"):
            assert default in {run.key for run in runs_of([name])}

    def test_every_alternative_differs_from_the_default(self):
        for one in ALTERNATIVES:
            assert Run(agent=one.agents[0], **one.setup()).key != Run(agent=one.agents[0]).key


def test_fig3_at_the_papers_scale_is_100_trainings_of_2000_slots_with_table_ii():
    runs = runs_of(["fig3a", "fig3b"], "paper")
    assert len(runs) == 100  # (3 + 3 points, one of them shared) x 20 seeds
    assert {run.slots for run in runs} == {2000}
    assert {run.seed for run in runs} == set(range(20))
    assert not any({"actor_hidden", "critic_hidden"} & set(run.departures()["settings"]) for run in runs)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((["fig9"], "paper"), ["fig9", "fig3a"]),
        ((["fig3a"], "huge"), ["huge", "quick"]),
        ((["fig3a"], "paper", "moon"), ["moon", "calibrated"]),
    ],
)
def test_unknown_names_are_refused_in_one_sentence(arguments, names):
    with pytest.raises(SettingError) as refusal:
        runs_of(*arguments)
    assert all(name in str(refusal.value) for name in names)
