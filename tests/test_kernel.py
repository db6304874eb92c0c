"""The compiled lines 3-8: as the paper has them, in extremes too, and wherever they are compiled."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from worlds import (
    EVERY_SETTING,
    OF_THE_PAPER,
    TINY,
    as_placement,
    assert_guarantees,
    one_hot,
    random_placement,
    random_proto,
    random_state,
    stacked,
)

from mecsim import kernel
from mecsim.reference import literal
from mecsim.refinement import Refinement, discards, refine_discrete, standing
from mecsim.scenario import Scenario
from mecsim.system import PhysicalSystem, SystemState


def by_the_paper(
    scenario: Scenario,
    state: SystemState,
    placement: np.ndarray,
    settings: Refinement,
    share: np.ndarray | None = None,
) -> list[int]:
    slot = literal.Slot.of(scenario, state)
    x, y = literal.with_energy(slot, *one_hot(scenario, placement))
    f_hat = share.tolist() if settings.cpu == "actor" else None
    return as_placement(literal.fit_capacity(slot, x, y, settings.reading, settings.hopeless, f_hat)[1])


class TestExtremes:
    """Where single precision of a sum would fail; the oracle is the literal transcription."""

    @pytest.mark.parametrize("settings", OF_THE_PAPER, ids=lambda one: "-".join(dict(one).values()))
    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("gain", (0.0, 1e-300, 1e-9, 1e9, 1e280)),
            ("deadline_s", (1e-300, 1e-12, 1e-3, 0.05)),
            ("size_bits", (1e-6, 1e12, 1e300)),
            ("award", (1e-200, 1e200)),
            ("cpu_hz", (1e-300, 1.0, 1e7)),
        ],
    )
    def test_as_the_paper_has_it(self, name, values, settings) -> None:
        rng = np.random.default_rng(1)
        for seed in range(3):
            state = random_state(TINY, seed)
            usual = getattr(state, name)
            odd = np.where(rng.random(usual.shape) < 0.5, usual, rng.choice(values, usual.shape))
            state = replace(state, **{"energy_j": np.full(TINY.n_devices, np.inf), name: odd})
            states = [state, *(replace(random_state(TINY, 9 + i), cpu_hz=state.cpu_hz) for i in range(2))]
            placements = [random_placement(TINY, seed + i) for i in range(3)]
            share = rng.random((3, TINY.n_devices, TINY.n_bs))
            batch = refine_discrete(TINY, stacked(states), np.stack(placements), settings, share)
            rows = zip(states, placements, share, strict=True)
            assert batch.placement.tolist() == [by_the_paper(TINY, one, p, settings, f) for one, p, f in rows]

    def test_a_loud_device_that_goes_leaves_the_others_to_be_heard(self) -> None:
        """Subtracted from 1e280, what the others send would be lost, and each would seem to be alone."""
        scenario, settings = (
            Scenario(devices=(12,), interference=1.0, tau_s=12.0),
            Refinement(hopeless="lowest index"),
        )
        for seed in range(4):
            state = random_state(scenario, seed)
            gain, size = state.gain.copy(), state.size_bits.copy()
            gain[0], size[0] = 1e280, 1e300  # too late, and so is everybody who hears it
            state = replace(state, gain=gain, size_bits=size, energy_j=np.full(12, np.inf))
            action = refine_discrete(scenario, state, scenario.cell, settings)
            assert_guarantees(scenario, state, action)
            assert action.placement.tolist() == by_the_paper(scenario, state, scenario.cell, settings)
            assert 1 < np.count_nonzero(action.offload) < 11


class TestBorders:
    def test_no_task_at_all(self) -> None:
        action = refine_discrete(TINY, random_state(TINY, 0), np.full(TINY.n_devices, -1))
        assert (action.placement == -1).all()
        assert (action.cpu_hz == 0).all()

    def test_everybody_wants_the_same_bs(self) -> None:
        state, wanted = random_state(TINY.replace(initial_energy_j=1.0), 0), np.ones(TINY.n_devices, int)
        found = refine_discrete(TINY, state, wanted).placement
        assert found.tolist() == by_the_paper(TINY, state, wanted, Refinement())
        assert set(found) == {-1, 1}


class TestTheOrderOfRemoval:
    @pytest.mark.parametrize(
        "settings", [Refinement(), Refinement(stations="last first", hopeless="lowest index")]
    )
    @pytest.mark.parametrize("cpu_hz", [3e8, 3e9])  # too little alone; too little because of interference
    def test_each_removal_is_of_the_lowest_key_left_and_none_is_too_many(self, cpu_hz, settings) -> None:
        """Told by `standing`, which looks at a placement before any removal, and by what (10) then says."""
        scenario = Scenario(devices=(6, 3, 5), interference=1.0, mean_gain=0.2, cpu_hz=cpu_hz)
        removals = 0
        for seed in range(40):
            state, placement = random_state(scenario, seed), random_placement(scenario, seed)
            found = discards(scenario, state, placement, settings)
            kept = placement.copy()
            for number in range(found.order.max() + 1):
                (task,) = np.flatnonzero(found.order == number)
                key, need = standing(scenario, state, kept, settings)
                rivals = np.flatnonzero(kept == placement[task])
                assert need[rivals].sum() > state.cpu_hz[placement[task]]
                assert key[task] == pytest.approx(key[rivals].min(), rel=1e-9)
                assert found.key[task] == pytest.approx(key[task], rel=1e-9)
                assert found.need_hz[task] == pytest.approx(need[task], rel=1e-9)
                kept[task] = -1
                removals += 1
            assert kept.tolist() == found.kept.tolist()
            _, need = standing(scenario, state, kept, settings)
            for bs, capacity in enumerate(state.cpu_hz):
                assert need[kept == bs].sum() <= capacity
        assert removals > 40

    @pytest.mark.parametrize("settings", EVERY_SETTING, ids=lambda one: "-".join(dict(one).values()))
    def test_what_is_discarded_has_a_number_and_what_stays_has_none(self, settings) -> None:
        crowded = TINY.replace(cpu_hz=2e8, initial_energy_j=1.0)
        state, share = random_state(crowded, 1), random_proto(crowded, 1).cpu_share
        placement = random_placement(crowded, 1)
        found = discards(crowded, state, placement, settings, share)
        gone = (placement >= 0) & (found.kept < 0)
        assert gone.any()
        assert sorted(found.order[gone]) == list(range(gone.sum()))
        assert (found.order[~gone] == -1).all()


@pytest.mark.parametrize("trouble", ["no place", "full disk"])
def test_machine_code_that_cannot_be_kept_is_no_error(trouble, monkeypatch, tmp_path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if trouble == "no place":
        monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    else:
        monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
        monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)

    @kernel._cached
    def fit(kept, tier, cell, first, tasks, stations, alpha, visits, one_shot, by_index, order, key, need):
        kept[0, 0] = 7

    ints, numbers = np.zeros((1, 1), np.int64), np.zeros((1, 1))
    tier, tasks = np.zeros((1, 1), np.int8), np.zeros((1, 1, 6))
    fit(ints, tier, ints[0], ints[0], tasks, tasks, numbers[0], ints[0], True, True, ints, numbers, numbers)
    assert ints[0, 0] == 7


CALL = """
from mecsim import PhysicalSystem, Scenario, refine_discrete
scenario = Scenario(initial_energy_j=1.0)
print(refine_discrete(scenario, PhysicalSystem(scenario, 0).state, scenario.cell).placement.tolist())
"""


def test_two_first_calls_at_once_need_no_home_and_say_no_more_than_that_they_compile(tmp_path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path)
    command, pipe = [sys.executable, "-W", "error", "-c", CALL], subprocess.PIPE
    both = [subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    scenario = Scenario(initial_energy_j=1.0)
    here = refine_discrete(scenario, PhysicalSystem(scenario, 0).state, scenario.cell).placement
    for process in both:
        out, err = process.communicate()
        assert out == f"{here.tolist()}\n"
        assert err in ("", "mecsim compiles Algorithm 1, which takes some seconds once.\n")
    assert list(tmp_path.rglob("*.nbi"))
