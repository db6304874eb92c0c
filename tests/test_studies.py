"""The studies: the margins of C18 and C20 on made-up tables, their measurements and their store on small ones."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from stored import put
from typer.testing import CliRunner

from mecsim.experiments import studies
from mecsim.experiments.cli import app
from mecsim.experiments.margins import PAPER_DEVICES, RARE, always_feasible, slower
from mecsim.experiments.results import MissingRuns
from mecsim.experiments.runs import Run
from mecsim.experiments.statistics import Interval, verdict, weakest
from mecsim.experiments.store import NUMERICS
from mecsim.experiments.studies import (
    STUDIES,
    StudyStore,
    guarantees,
    run_studies,
    studied,
    study_job,
    study_jobs,
)
from mecsim.experiments.studies.decisions import Diary, measure_decisions
from mecsim.experiments.studies.guarantees import (
    CONSTRAINTS,
    KINDS,
    measure_guarantees,
    proto_actions,
)
from mecsim.experiments.studies.lookup import measure_lookup, small_scenario, warm_states
from mecsim.reference.lookup import lookup, nearer
from mecsim.refinement import keep_affordable, line_1, refine
from mecsim.scenario import PRESETS, Scenario
from mecsim.settings import SettingError
from mecsim.system import Action, outcome
from mecsim.training import Callback, train
from mecsim.twin import DigitalTwin

SMALL = {
    "lookup": {"devices": [3, 4], "states": 3, "paper_states": 2},
    "guarantees": {"actions": 4},
}
COLUMNS = ["study", "preset", "seed", "metric", "devices", "value"]


def table(rows: Iterable[tuple[int, str, int, float]]) -> pd.DataFrame:
    """A study's table from (seed, metric, devices, value)."""
    return pd.DataFrame(rows, columns=["seed", "metric", "devices", "value"])


class TestLookupMargin:
    @staticmethod
    def margin(look_ups: list[tuple[float, float]], algorithm_1_s: list[float], tau_s: float) -> Interval:
        """Of look-ups of 10^(a + b devices) s with (a, b) by seed, and Algorithm 1 at the paper's size by seed."""
        rows = [
            (seed, "look-up 1 seconds", n, 10 ** (a + b * n))
            for seed, (a, b) in enumerate(look_ups)
            for n in (3, 5, 8)
        ]
        for seed, seconds in enumerate(algorithm_1_s):
            rows += [
                (seed, "Algorithm 1 seconds", PAPER_DEVICES, seconds),
                (seed, "Algorithm 1 seconds", 5, 1e9),
            ]
            rows += [(seed, "look-up 10 seconds", 5, 1e9), (seed, "look-up 1 income", 5, 7.0)]
        return weakest(slower(table(rows), tau_s))

    def test_the_weaker_part_counts(self) -> None:
        """A thousandth of the slot for Algorithm 1; and the line of the look-up, extrapolated to 165 devices."""
        found = self.margin([(-6, 0.5), (-7, 0.51)], [0.003, 0.003], tau_s=3.0)
        assert (found.mean, found.seeds) == (pytest.approx(3.0), 2)
        found = self.margin([(-6, 0.05)] * 2, [1e-6] * 2, tau_s=10.0)
        assert found.mean == pytest.approx(-6 + 0.05 * 165 - 1)

    @pytest.mark.parametrize(
        ("look_ups", "algorithm_1_s", "tau_s", "expected"),
        [
            ([(-6, 0.5), (-7, 0.51)], [0.003, 0.003], 3.0, "reproduced"),
            ([(-6, 0.01), (-6, 0.011)], [0.003, 0.003], 3.0, "not reproduced"),  # the look-up fits in a slot
            ([(-6, 0.5), (-6, 0.5)], [30.0, 33.0], 3.0, "not reproduced"),  # Algorithm 1 does not
            ([(-6, 0.5), (-6, 0.01)], [0.003, 0.003], 3.0, "inconclusive"),  # seeds disagree
            ([(-6, 0.5), (-6, 0.5)], [0.003, 4.0], 3.0, "inconclusive"),
            ([(-6, 0.04), (-6, 0.0401)], [0.1, 0.1], 3.0, "reproduced"),
            ([(-6, 0.04), (-6, 0.0401)], [0.1, 0.1], 12.0, "not reproduced"),  # in a longer slot it fits
        ],
    )
    def test_verdicts(self, look_ups, algorithm_1_s, tau_s, expected) -> None:
        assert verdict(self.margin(look_ups, algorithm_1_s, tau_s)) == expected


class TestGuaranteesMargin:
    @staticmethod
    def margin(*by_seed: tuple[int, int]) -> Interval:
        """Of (actions, how many of them break a constraint) by seed."""
        return always_feasible(
            table(
                (seed, metric, 165, float(value))
                for seed, (actions, broken) in enumerate(by_seed)
                for metric, value in (
                    *(("actions", actions), ("(5)", broken)),
                    *(("any", broken), ("tasks kept", 9e9)),
                )
            )
        )

    def test_none_in_many(self) -> None:
        found = self.margin((1500, 0), (1500, 0), (1500, 0))
        assert (verdict(found), found.seeds) == ("reproduced", 3)
        assert found.mean == found.high == RARE
        # By hand: of 4500 actions none, so that (1 - p)^4500 = 0.025 at the upper end.
        assert found.low == pytest.approx(RARE - (1 - 0.025 ** (1 / 4500)))

    def test_none_in_too_few(self) -> None:
        found = self.margin((1500, 0), (1500, 0))
        assert verdict(found) == "inconclusive"
        assert found.low < 0 < found.high

    @pytest.mark.parametrize("broken", [1, 40])
    def test_one_that_breaks_a_constraint_refutes_however_many_do_not(self, broken) -> None:
        found = self.margin((1_000_000, 0), (1_000_000, broken))
        assert verdict(found) == "not reproduced"
        assert found.low <= found.mean <= found.high == 0.0

    def test_many_that_break_one(self) -> None:
        found = self.margin((500, 5), (500, 15))
        theirs = stats.beta.ppf([0.025, 0.975], [20, 21], [981, 980])
        assert found[:3] == pytest.approx((RARE - 0.02, RARE - theirs[1], RARE - theirs[0]))
        assert verdict(found) == "not reproduced"


class TestWorlds:
    def test_kinds_take_turns_and_a_seed_gives_the_same_ones(self) -> None:
        scenario = Scenario(devices=(40, 40))
        (uniform, noisy, on, again), others = (
            [next(protos) for _ in range(4)] for protos in (proto_actions(scenario, 1) for _ in range(2))
        )
        assert 0 <= uniform.peer.min() < 0.1 < 0.9 < uniform.peer.max() <= 1
        assert noisy.peer.max() > 1
        assert on.peer.min() >= 0.9
        assert 0 <= again.peer.min() < 0.1
        assert np.array_equal(again.offload, others[3].offload)
        assert not np.array_equal(again.offload, uniform.offload)
        assert len(KINDS) == 3

    def test_states_are_met_with_energy_in_the_queue(self) -> None:
        states = list(warm_states(Scenario(), 0, 2))
        assert states[1].slot == states[0].slot + 1
        assert (states[0].energy_j > 0).sum() > 100
        assert not np.array_equal(states[0].size_bits, states[1].size_bits)


@pytest.fixture(scope="module")
def small_lookup() -> pd.DataFrame:
    return pd.DataFrame(measure_lookup("printed", 1, devices=[5, 6], states=6, paper_states=2))


class TestLookupStudy:
    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize("n_devices", [3, 5, 10])
    def test_a_small_system_has_as_much_cpu_a_device_as_the_preset(self, preset, n_devices) -> None:
        small, whole = small_scenario(preset, n_devices), Scenario.preset(preset)
        assert small.n_devices == n_devices
        assert max(small.devices) - min(small.devices) <= 1
        assert sum(small.cpu_hz) / n_devices == pytest.approx(whole.per_bs("cpu_hz").sum() / 165)
        assert small.replace(devices=whole.devices, cpu_hz=whole.cpu_hz) == whole

    def test_every_number_of_devices_has_every_metric_and_the_paper_s_has_algorithm_1(
        self, small_lookup
    ) -> None:
        found = small_lookup.groupby("devices")["metric"].agg(set).to_dict()
        names = ("Algorithm 1", "look-up 1", "look-up 10")
        every = {f"{name} {what}" for name in names for what in ("seconds", "income")} | {"nearer placements"}
        assert found == {5: every, 6: every, 165: {"Algorithm 1 seconds"}}
        assert (small_lookup[small_lookup["metric"].str.endswith("seconds")]["value"] > 0).all()

    def test_incomes_and_counts_are_those_of_the_actions(self, small_lookup) -> None:
        scenario = small_scenario("printed", 6)
        earned, passed = [], []
        for state, proto in zip(warm_states(scenario, 1, 6), proto_actions(scenario, 1), strict=False):
            ways = (
                refine(scenario, state, proto),
                *(lookup(scenario, state, proto, kappa) for kappa in (1, 10)),
            )
            earned.append([float(outcome(scenario, state, action).income) for action in ways])
            passed.append(nearer(scenario, proto, ways[1].placement))
        value = small_lookup[small_lookup["devices"] == 6].set_index("metric")["value"]
        metrics = ["Algorithm 1 income", "look-up 1 income", "look-up 10 income"]
        assert value[metrics].tolist() == pytest.approx(np.mean(earned, axis=0).tolist())
        assert np.mean(earned) > 0
        assert value["nearer placements"] == np.median(passed) > 0


class TestGuaranteesStudy:
    def test_counts_actions_tasks_and_no_violation(self) -> None:
        rows = {row["metric"]: row["value"] for row in measure_guarantees("calibrated", 2, actions=30)}
        assert rows["actions"] == 30
        assert [rows[name] for name in (*CONSTRAINTS, "any")] == [0.0] * 7
        assert 30 * 10 < rows["tasks kept"] < rows["tasks offered"] < 30 * 165

    def test_sees_what_an_algorithm_without_its_checks_breaks(self, monkeypatch) -> None:
        def greedy(scenario: Scenario, state: object, proto: object) -> Action:
            """Takes every task, and gives each of them twice the CPU of its BS."""
            return Action(scenario.cell, 2 * scenario.per_device("cpu_hz"))

        monkeypatch.setattr(guarantees, "refine", greedy)
        rows = {row["metric"]: row["value"] for row in measure_guarantees("calibrated", 2, actions=3)}
        assert {name: rows[name] for name in (*CONSTRAINTS, "any")} == {
            **dict.fromkeys(("C1", "C2", "C3"), 0.0),
            **dict.fromkeys(("C4", "(5)", "(10)", "any"), 3.0),
        }


@pytest.fixture
def small(monkeypatch) -> None:
    """The studies at a size for tests, and few seeds for the claims."""
    sized = {
        name: replace(STUDIES[name], sizes=sizes, seeds={"calibrated": 2, "printed": 1, "physical": 3})
        for name, sizes in SMALL.items()
    }
    monkeypatch.setattr(studies, "STUDIES", sized)


@pytest.mark.usefixtures("small")
class TestStore:
    def test_a_file_says_what_made_it(self, tmp_path) -> None:
        store = put(StudyStore(tmp_path), study_jobs(["guarantees"], "printed"))
        entry = store.manifest()["guarantees-printed-seed0.parquet"]
        which = {"study": "guarantees", "preset": "printed", "seed": 0}
        assert entry["run"] == {**which, "changes": PRESETS["printed"], "actions": 4}
        assert entry["numerics"] == NUMERICS

    def test_a_table_holds_every_stored_seed_of_one_study_and_preset(self, tmp_path) -> None:
        jobs = [*study_jobs(["guarantees", "lookup"]), study_job("guarantees", "printed", 0)]
        put(StudyStore(tmp_path), jobs)
        found = studied("guarantees", "calibrated", tmp_path)
        assert found.columns.tolist() == COLUMNS
        assert [set(found[name]) for name in COLUMNS[:3]] == [{"guarantees"}, {"calibrated"}, {0, 1}]
        assert always_feasible(found).seeds == 2
        assert set(studied("lookup", "calibrated", tmp_path)["devices"]) == {3, 4, 165}

    def test_what_is_not_stored_names_its_command(self, tmp_path) -> None:
        with pytest.raises(MissingRuns, match="compute it with `mecsim study lookup --preset printed`"):
            studied("lookup", "printed", tmp_path)


LITTLE = {"actor_hidden": [8], "critic_hidden": [4]}
SLOTS = 70  # a few of them with an update


def decider():
    return Run(agent="INTO", settings=LITTLE).make_agent()


@pytest.fixture(scope="module")
def by_slot() -> pd.DataFrame:
    rows = pd.DataFrame(measure_decisions("calibrated", 0, SLOTS, LITTLE))
    return rows.pivot_table(index="slot", columns="metric", values="value")


def test_the_training_is_the_same_to_the_last_bit(by_slot) -> None:
    alone = train(decider(), DigitalTwin(Scenario(), 0), SLOTS, progress=False)
    np.testing.assert_array_equal(by_slot["income"], alone)


def test_the_counts_are_those_of_the_actions(by_slot) -> None:
    scenario, diary = Scenario(), Diary()

    class Look(Callback):
        def after_action(self, learner, state, action) -> None:
            diary.after_action(learner, state, action)
            offered, row = line_1(learner.explored()), by_slot.loc[state.slot]
            assert row["offered"] == (offered >= 0).sum()
            assert row["powered"] == (keep_affordable(scenario, state, offered) >= 0).sum()
            for bs in range(scenario.n_bs):
                assert row[f"offered to BS-{bs + 1}"] == (offered == bs).sum()
                assert row[f"executed on BS-{bs + 1}"] == (action.placement == bs).sum()
                assert row[f"offloading BS-{bs + 1}"] == action.offload[scenario.cell == bs].sum()

    train(decider(), DigitalTwin(scenario, 0), 12, progress=False, callback=Look())
    assert len(diary.rows) == 12 * (2 + 3 * scenario.n_bs)


def test_one_seed_of_calibrated_is_wanted() -> None:
    assert [len(study_jobs(["decisions"], preset)) for preset in ("calibrated", "printed")] == [1, 0]
    assert len(study_jobs(["decisions"], "printed", seeds=2)) == 2


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda folder: run_studies(["tarot"], folder=folder), "study = 'tarot'"),
        (lambda folder: studied("tarot", folder=folder), "study = 'tarot'"),
        (lambda folder: run_studies(["lookup"], "lunar", folder=folder), "preset = 'lunar'"),
        (lambda folder: measure_decisions("lunar", 0, 1, {}), "preset = 'lunar'"),
    ],
)
def test_an_unknown_study_or_preset_is_refused_in_one_sentence(call, field, tmp_path) -> None:
    known = ", ".join(STUDIES if "study" in field else PRESETS)
    with pytest.raises(SettingError, match=f"^{field} is not allowed: it should be one of {known}.$"):
        call(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_passes_on_what_it_is_told(monkeypatch) -> None:
    told = []
    monkeypatch.setattr(studies, "run_studies", lambda *words: told.append(words) or ["one", "other"])
    words = ["study", "lookup", "guarantees", "--preset", "printed", "--seeds", "2", "--workers", "1"]
    said = CliRunner().invoke(app, words)
    assert told == [(["lookup", "guarantees"], "printed", 2, 1)]
    assert said.output == "2 measurements are stored.\n"


def test_the_claims_need_five_seeds_calibrated_and_three_printed() -> None:
    assert studies.SEEDS == {"calibrated": 5, "printed": 3}
    assert {preset: len(study_jobs(["lookup"], preset)) for preset in studies.SEEDS} == studies.SEEDS
