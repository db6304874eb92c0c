"""Where each algorithm stands: the study of bounds, ratios from made-up tables, no stored income above a bound."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from stored import put
from typer.testing import CliRunner

from mecsim.experiments import standings as module
from mecsim.experiments import studies
from mecsim.experiments.cli import app
from mecsim.experiments.panels import PROFILES, RunStore
from mecsim.experiments.results import MissingRuns
from mecsim.experiments.runs import Run
from mecsim.experiments.standings import Standing, averaged, ratios, standings
from mecsim.experiments.statistics import interval
from mecsim.experiments.store import read_tables
from mecsim.experiments.studies import STUDIES, StudyStore, studied, study_job
from mecsim.experiments.studies.bounds import LONG_RUN, LOWER, UPPER, bounded_runs, point_of
from mecsim.settings import SettingError

POINTS = {"fig6a": ["1", "1.3"], "fig6b": ["5", "8"]}
"""The first of each panel is the default, which they share."""
SLOTS = 500
REFERENCE = (49, 99)
SHARE = {"INTO": 0.9, "greedy": 0.8}
"""Of the bounds that each agent earns in the made-up tables, in the last reference state 0.3 less."""
OFF = {"long run": 0.0, "per slot": 0.3 * 2.07 / 3.09}
"""What that takes off the ratio of the sums; the upper ends are 1.02 and 2.07 of a height."""


def made_up_bounds(seeds: range, preset: str = "calibrated") -> pd.DataFrame:
    """Bounds that differ from point to point and seed to seed, with two reference states."""
    rows, heights = [], {}
    for seed in seeds:
        for panel, label, run in bounded_runs(preset, seed, POINTS, SLOTS):
            height = heights.setdefault(run.key, 100.0 + 10.0 * len(heights))
            where = {"study": "bounds", "preset": preset, "seed": seed, "panel": panel, "label": label}
            values = [(LONG_RUN, -1, 2.0 * height)]
            values += [(LOWER, slot, height * (1 + at)) for at, slot in enumerate(REFERENCE)]
            values += [(UPPER, slot, height * (1.02 + at * 1.05)) for at, slot in enumerate(REFERENCE)]
            rows += [{**where, "point": run.key, "metric": m, "slot": s, "value": v} for m, s, v in values]
    return pd.DataFrame(rows)


def made_up_results(bounds: pd.DataFrame, panel: str, seeds: set[int]) -> pd.DataFrame:
    """Incomes as `results` gives them: a share of the bounds, less a hundredth for each seed."""
    here = bounds[(bounds["panel"] == panel) & bounds["seed"].isin(seeds)]
    parts = []
    for agent, share in SHARE.items():
        at = share - 0.01 * here["seed"]
        metric = here["metric"].map({LONG_RUN: "income", UPPER: "reference income"})
        value = here["value"] * np.where(here["slot"] == REFERENCE[-1], at - 0.3, at)
        parts.append(here.assign(agent=agent, metric=metric, value=value).dropna())
    return pd.concat(parts)[["label", "agent", "seed", "metric", "slot", "value"]]


@pytest.fixture
def stored(monkeypatch):
    """Puts made-up bounds and runs in the place of what is stored; some seeds have one of them alone."""

    def put(with_bounds=range(3), with_runs=range(3), bounds=None):
        table = made_up_bounds(with_bounds) if bounds is None else bounds
        sizes = {"points": POINTS, "slots": SLOTS, "gap": 0.03}
        monkeypatch.setitem(studies.STUDIES, "bounds", replace(STUDIES["bounds"], sizes=sizes))
        monkeypatch.setattr(module, "PANELS", tuple(POINTS))
        monkeypatch.setattr(module, "studied", lambda name, preset: table[table["preset"] == preset])
        monkeypatch.setattr(module, "stored_seeds", lambda name, preset: list(with_runs))
        monkeypatch.setattr(
            module, "results", lambda name, preset, seeds: made_up_results(table, name, seeds)
        )

    return put


class TestRatios:
    def test_income_over_the_bound_by_point_agent_and_seed(self, stored) -> None:
        stored()
        table = ratios()
        assert table.columns.tolist() == module.COLUMNS
        assert len(table) == 4 * 2 * 3 * 2
        for (agent, seed, bound), part in table.groupby(["agent", "seed", "bound"]):
            assert part["ratio"].to_numpy() == pytest.approx(SHARE[agent] - 0.01 * seed - OFF[bound])
        assert table[table["bound"] == "long run"]["bracket_gap"].isna().all()
        # By hand: the upper ends add up to 1.02 + 2.07, the lower ones to 1 + 2.
        assert table[table["bound"] == "per slot"]["bracket_gap"].to_numpy() == pytest.approx(3.09 / 3 - 1)
        assert table["x"].tolist() == table["label"].astype(float).tolist()

    def test_what_an_agent_earns_narrows_the_bracket(self, stored, monkeypatch) -> None:
        monkeypatch.setitem(SHARE, "greedy", 1.0)
        stored()
        for seed, part in ratios().dropna().groupby("seed"):
            first = max(1.0, 1.02 * (1.0 - 0.01 * seed))  # of the two lower ends, 1 and 2
            assert part["bracket_gap"].to_numpy() == pytest.approx(3.09 / (first + 2.0) - 1.0)

    def test_a_point_that_panels_share_counts_once(self, stored) -> None:
        stored()
        table = ratios()
        default = table["point"].isin(table[table["label"] == "1"]["point"])
        table.loc[default, "ratio"] = 0.0
        found = {(one.bound, one.agent): one for one in averaged(table)}
        # Two of the three distinct points of a seed keep their ratio.
        expected = interval([(0.9 - 0.01 * seed) * 2 / 3 for seed in range(3)])
        assert found["long run", "INTO"][3:7] == pytest.approx(expected)

    def test_the_interval_is_that_over_seeds(self, stored) -> None:
        stored()
        found = standings()
        shown = [(one.bound, one.agent) for one in found]
        assert shown == [(bound, agent) for bound in ("per slot", "long run") for agent in SHARE]
        for one in found:
            share = SHARE[one.agent] - OFF[one.bound]
            assert one[3:7] == pytest.approx(interval([share, share - 0.01, share - 0.02]))
            assert one.seeds == 3
            assert (one.bracket_gap is None) == (one.bound == "long run")

    def test_seeds_that_lack_runs_or_bounds_do_not_count(self, stored) -> None:
        stored(with_bounds=range(4), with_runs=range(1, 6))
        assert set(ratios()["seed"]) == {1, 2, 3}
        bounds = made_up_bounds(range(4))
        cut_off = (bounds["seed"] == 2) & (bounds["panel"] == "fig6b") & (bounds["label"] == "8")
        stored(bounds=bounds[~cut_off], with_runs=range(1, 6))
        assert set(ratios()["seed"]) == {1, 3}

    def test_bounds_of_another_scenario_under_the_same_label_do_not_count(self, stored) -> None:
        bounds = made_up_bounds(range(3))
        other = made_up_bounds(range(3), "printed")["point"]
        stored(bounds=bounds.assign(point=np.where(bounds["seed"] == 0, other, bounds["point"])))
        assert set(ratios()["seed"]) == {1, 2}

    def test_what_is_missing_is_said_with_how_to_compute_it(self, stored) -> None:
        stored(with_bounds=range(1), with_runs=range(3))
        with pytest.raises(MissingRuns) as error:
            standings()
        assert str(error.value) == (
            "bounds: of calibrated, 3 seeds have all runs of Fig. 6, 1 have all bounds and 1 both, where 2 are needed; "
            "compute them with `mecsim run fig6a fig6b --profile paper --preset calibrated` and "
            "`mecsim study bounds --preset calibrated`."
        )

    def test_an_unknown_preset_is_refused(self) -> None:
        with pytest.raises(SettingError, match="preset = 'lunar' is not allowed"):
            standings("lunar")


class TestCommand:
    @pytest.fixture
    def call(self, monkeypatch):
        """The command where `printed` lacks what it needs."""

        def standings(preset):
            if preset == "printed":
                raise MissingRuns("the study bounds is not stored for the preset printed.")
            per_slot, long_run = ("per slot", 0.0123, 0.97, 0.9), ("long run", None, 0.92, 0.81)
            return [
                Standing(preset, bound, agent, ratio, ratio - 0.01, ratio + 0.01, 5, gap)
                for bound, gap, *of_agents in (per_slot, long_run)
                for agent, ratio in zip(("INTO", "all-on"), of_agents, strict=True)
            ]

        monkeypatch.setattr(module, "standings", standings)
        return lambda *words: CliRunner().invoke(app, ["bounds", *words])

    def test_as_json(self, call) -> None:
        done = call("--preset", "calibrated", "--json")
        told = json.loads(done.stdout)
        assert done.exit_code == 0
        assert [" ".join(one) for one in told] == ["preset bound agent ratio low high seeds bracket_gap"] * 4
        assert [one["bracket_gap"] for one in told] == [0.0123, 0.0123, None, None]
        assert told[0]["ratio"] == 0.97

    def test_as_text(self, call) -> None:
        first, _, *rows, last = call("--preset", "calibrated").stdout.splitlines()
        assert first.startswith("calibrated: ")
        assert first.endswith("5 seeds")
        assert rows == [
            "INTO    0.970 [0.960, 0.980]  0.920 [0.910, 0.930]",
            "all-on  0.900 [0.890, 0.910]  0.810 [0.800, 0.820]",
        ]
        assert last.startswith("Per slot the brackets are 1.2 % wide: ")

    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_a_preset_that_lacks_its_bounds_is_named_and_the_other_is_told(self, call, form) -> None:
        done, alone = call(*form), call("--preset", "printed", *form)
        assert done.exit_code == alone.exit_code == 1
        assert done.stderr == alone.stderr == "the study bounds is not stored for the preset printed.\n"
        assert done.stdout.startswith("[" if form else "calibrated: ")
        assert alone.stdout == ("[]\n" if form else "")


FEW = {"fig6a": ["1"], "fig6b": ["3"]}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A small study, as it is stored."""
    folder = tmp_path_factory.mktemp("studies")
    sizes = {"points": FEW, "slots": 50, "gap": 0.03}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIES, "bounds", replace(STUDIES["bounds"], sizes=sizes))
        put(StudyStore(folder), [study_job("bounds", "calibrated", 4)])
        return studied("bounds", "calibrated", folder)


class TestStudy:
    def test_every_point_has_a_bracket_in_each_reference_state_and_a_long_run_bound(self, measured) -> None:
        columns = "study preset seed metric panel label point slot value"
        assert measured.columns.tolist() == columns.split()
        for _, part in measured.groupby(["panel", "label"]):
            assert part["metric"].tolist() == [LOWER, UPPER, LONG_RUN]
            assert part["slot"].tolist() == [49, 49, -1]
        wide = measured.pivot_table(index=["panel", "label", "slot"], columns="metric", values="value")
        brackets = wide.dropna(subset=[UPPER])
        assert (brackets[LOWER] > 0).all()
        assert (brackets[LOWER] <= brackets[UPPER]).all()
        assert (brackets[UPPER] <= 1.03 * brackets[LOWER]).all()

    def test_a_point_is_named_by_scenario_and_world_alone(self) -> None:
        here = Run(agent="all-on", slots=0, changes={"cpu_hz": (4e9,) * 3}, seed=1)
        there = Run(agent="INTO", changes={"cpu_hz": 4e9}, settings={"gamma": 0.5}, seed=1)
        assert point_of(there) == point_of(here) == here.key
        shifted = Run(agent="INTO", shift={"award_scale": (3.0, 1.0, 1.0)}, shift_at=1000, seed=1)
        assert point_of(shifted) == point_of(Run(agent="DDQN", changes=shifted.shift, seed=1))
        other = [here.model_copy(update=change) for change in ({"seed": 2}, {"evaluation_slots": 100})]
        assert len({point_of(run) for run in (here, shifted, *other)}) == 4


ROUNDED = 1e-6
"""Share by which the incomes of the runs may exceed a bound: they are stored in single precision."""


@pytest.fixture(scope="module")
def stored_bounds() -> pd.DataFrame:
    """All stored bounds, those of a point that panels share once."""
    return read_tables(studies.FOLDER, "bounds-*.parquet").drop_duplicates(["point", "metric", "slot"])


def test_no_stored_income_lies_above_a_bound(stored_bounds) -> None:
    """Every agent's income lies under the bound on every stored state, and no policy beats the long-run bound."""
    upper = stored_bounds[stored_bounds["metric"] == UPPER].set_index(["point", "slot"])["value"]
    long_run = stored_bounds[stored_bounds["metric"] == LONG_RUN].set_index("point")["value"]
    agents, states = set(), 0
    for name, entry in RunStore(PROFILES["paper"].folder).manifest().items():
        run = Run(**entry["run"])
        point = point_of(run)
        if point not in long_run.index:
            continue
        table = pd.read_parquet(PROFILES["paper"].folder / name, columns=["metric", "slot", "value"])
        mean = table.loc[table["metric"] == "income", "value"].item()
        assert mean <= long_run[point] * (1.0 + ROUNDED), name
        earned = table[table["metric"] == "reference income"].set_index("slot")["value"]
        assert (earned <= upper[point].reindex(earned.index) * (1.0 + ROUNDED)).all(), name
        agents.add(run.agent)
        states += len(earned)
    assert {"INTO", "all-on"} <= agents
    assert states >= 25 * 10


def test_stored_brackets_are_within_3_per_cent(stored_bounds) -> None:
    slots = stored_bounds[stored_bounds["metric"].isin([LOWER, UPPER])]
    ends = slots.pivot_table(index=["point", "slot"], columns="metric", values="value")
    gap = (ends[UPPER] / ends[LOWER] - 1.0).to_numpy()
    assert len(gap) == 2 * 3 * 25 * 10
    assert gap.max() <= 0.03
