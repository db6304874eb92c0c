"""The study of decisions: it watches a training without changing a bit of it, and counts what really happened."""

import numpy as np
import pandas as pd
import pytest
from mecsim.experiments.study_decisions import Diary, measure_decisions

from mecsim.experiments import studies
from mecsim.experiments.runs import Run
from mecsim.experiments.studies import STUDIES, missing_studies
from mecsim.refinement import keep_affordable, line_1
from mecsim.scenario import Scenario
from mecsim.settings import SettingError
from mecsim.training import train
from mecsim.twin import DigitalTwin

SMALL = {"actor_hidden": [8], "critic_hidden": [4]}
SLOTS = 70  # a few of them with an update


def small_run() -> Run:
    return Run(agent="INTO", settings=SMALL, slots=SLOTS)


@pytest.fixture(scope="module")
def by_slot() -> pd.DataFrame:
    rows = pd.DataFrame(measure_decisions("calibrated", 0, SLOTS, SMALL))
    return rows.pivot_table(index="slot", columns="metric", values="value")


def test_the_training_is_the_same_to_the_last_bit(by_slot) -> None:
    alone = train(small_run().make_agent(), DigitalTwin(Scenario(), 0), SLOTS, progress=False)
    np.testing.assert_array_equal(by_slot["income"], alone)


def test_the_counts_are_those_of_the_actions(by_slot) -> None:
    scenario, learner = Scenario(), small_run().make_agent()
    twin, diary = DigitalTwin(scenario, 0), Diary(learner)
    for slot in range(12):
        state = twin.state
        action = diary.explore(state)
        offered = line_1(learner.explored())
        row = by_slot.loc[slot]
        assert row["offered"] == (offered >= 0).sum()
        assert row["powered"] == (keep_affordable(scenario, state, offered) >= 0).sum()
        for bs in range(scenario.n_bs):
            assert row[f"offered to BS-{bs + 1}"] == (offered == bs).sum()
            assert row[f"executed on BS-{bs + 1}"] == (action.placement == bs).sum()
            assert row[f"offloading BS-{bs + 1}"] == action.offload[scenario.cell == bs].sum()
        twin.step(action)


def test_one_seed_of_calibrated_is_wanted_and_stored(tmp_path) -> None:
    study = STUDIES["decisions"]
    assert (study.wanted_seeds("calibrated"), study.wanted_seeds("printed")) == (1, 0)
    assert STUDIES["lookup"].wanted_seeds("calibrated") == studies.SEEDS["calibrated"]
    assert missing_studies(["decisions"]) == []
    wanted = missing_studies(["decisions", "guarantees"], folder=tmp_path)
    assert [one.seed for one in wanted if one.study == "decisions"] == [0]
    assert missing_studies(["decisions"], "printed", folder=tmp_path) == []
    assert len(missing_studies(["decisions"], "printed", seeds=2, folder=tmp_path)) == 2


def test_refuses_in_one_sentence() -> None:
    with pytest.raises(SettingError, match="preset = 'moon' is not allowed"):
        measure_decisions("moon", 0, 1, {})
