"""The compiled lines 3-8: as the paper has them, in extremes too, and wherever they are compiled."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from worlds import (
    EVERY_SETTING,
    OF_THE_PAPER,
    TINY,
    as_placement,
    assert_guarantees,
    assert_same_bits,
    one_hot,
    random_placement,
    random_proto,
    random_state,
    scenarios,
    seeds,
    stacked,
)

from mecsim.reference import literal
from mecsim.refinement import Refinement, discards, keep_affordable, refine_discrete, standing
from mecsim.scenario import Scenario
from mecsim.system import Action, PhysicalSystem, SystemState

TWINS = 4


def some_states(scenario: Scenario, seed: int) -> list[SystemState]:
    return [random_state(scenario, seed + i) for i in range(TWINS)]


class TestExtremes:
    """Where single precision of a sum would fail; the oracle is the literal transcription."""

    @staticmethod
    def odd(state: SystemState, rng: np.random.Generator, name: str, *values: float) -> SystemState:
        usual = getattr(state, name)
        odd = np.where(rng.random(usual.shape) < 0.5, usual, rng.choice(values, usual.shape))
        return replace(state, energy_j=np.full(state.energy_j.shape, np.inf), **{name: odd})

    @pytest.mark.parametrize("settings", OF_THE_PAPER, ids=lambda one: "-".join(one._values().values()))
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
        for seed in range(4):
            state = self.odd(random_state(TINY, seed), rng, name, *values)
            states = [state, *(replace(random_state(TINY, 9 + i), cpu_hz=state.cpu_hz) for i in range(2))]
            placements = [random_placement(TINY, seed + i) for i in range(3)]
            share = rng.random((3, TINY.n_devices, TINY.n_bs))
            batch = refine_discrete(TINY, stacked(states), np.stack(placements), settings, share)
            for twin, (one, placement) in enumerate(zip(states, placements, strict=True)):
                expected = self.literal_placement(one, placement, settings, share[twin])
                assert batch.placement[twin].tolist() == expected

    @staticmethod
    def literal_placement(
        state: SystemState, placement: np.ndarray, settings: Refinement, share: np.ndarray
    ) -> list[int]:
        slot = literal.Slot.of(TINY, state)
        x, y = literal.with_energy(slot, *one_hot(TINY, placement))
        f_hat = share.tolist() if settings.cpu == "actor" else None
        return as_placement(literal.fit_capacity(slot, x, y, settings.reading, settings.hopeless, f_hat)[1])

    def test_a_loud_device_that_goes_leaves_the_others_to_be_heard(self) -> None:
        """Subtracted from 1e280, what the others send would be lost, and each would seem to be alone."""
        scenario, states = Scenario(devices=(12,), interference=1.0, tau_s=12.0), []
        for seed in range(TWINS):
            state = random_state(scenario, seed)
            gain, size = state.gain.copy(), state.size_bits.copy()
            gain[0], size[0] = 1e280, 1e300  # too late, and so is everybody who hears it
            states.append(replace(state, gain=gain, size_bits=size, energy_j=np.full(12, np.inf)))
        settings = Refinement(hopeless="lowest index")
        batch = refine_discrete(scenario, stacked(states), np.zeros((TWINS, 12), int), settings)
        for twin, state in enumerate(states):
            action = Action(batch.placement[twin], batch.cpu_hz[twin])
            assert_guarantees(scenario, state, action)
            slot = literal.Slot.of(scenario, state)
            x, y = literal.with_energy(slot, *one_hot(scenario, np.zeros(12, int)))
            _, y, _ = literal.fit_capacity(slot, x, y, hopeless="lowest index")
            assert action.placement.tolist() == as_placement(y)
            assert 1 < np.count_nonzero(action.offload) < 11


class TestBorders:
    def test_no_task_at_all(self) -> None:
        state = stacked(some_states(TINY, 0))
        action = refine_discrete(TINY, state, np.full((TWINS, TINY.n_devices), -1))
        assert (action.placement == -1).all()
        assert (action.cpu_hz == 0).all()

    def test_everybody_wants_the_same_bs(self) -> None:
        states = some_states(TINY.replace(initial_energy_j=1.0), 0)
        wanted = np.full((TWINS, TINY.n_devices), 1)
        batch = refine_discrete(TINY, stacked(states), wanted)
        assert_same_bits(batch, [refine_discrete(TINY, state, wanted[0]) for state in states])
        assert set(np.unique(batch.placement)) == {-1, 1}


class TestTheOrderOfRemoval:
    @given(scenarios(), seeds)
    def test_each_removal_is_that_of_the_lowest_key_left_and_none_is_made_too_many(
        self, scenario, seed
    ) -> None:
        """Told by `standing`, which looks at a placement before any removal, and by what (10) then says."""
        state = random_state(scenario, seed)
        for settings in (Refinement(), Refinement(stations="last first", hopeless="lowest index")):
            placement = keep_affordable(scenario, state, random_placement(scenario, seed), settings)
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
            assert kept.tolist() == found.kept.tolist()
            _, need = standing(scenario, state, kept, settings)
            for bs, capacity in enumerate(state.cpu_hz):
                assert need[kept == bs].sum() <= capacity

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


CALL = """
import numpy as np
from mecsim import PhysicalSystem, Scenario, refine_discrete
scenario = Scenario(initial_energy_j=1.0)
print(refine_discrete(scenario, PhysicalSystem(scenario, 0).state, scenario.cell).placement.sum())
"""
NO_PLACE = "import numba.core.caching as c\nc.CacheImpl._locator_classes = []\n"
FULL_DISK = (
    "import numba.core.caching as c\ndef full(*_):\n    raise OSError(28, 'No space left on device')\n"
    "c.IndexDataCacheFile.save = full\n"
)


def test_any_first_call_anywhere_gives_the_same_and_says_no_more_than_that_it_compiles(tmp_path) -> None:
    """Two processes at once with an empty cache, one that cannot cache, one with a full disk, and no home."""
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path)
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", before + CALL],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for before in ("", "", NO_PLACE, FULL_DISK)
    ]
    told = [process.communicate() for process in started]
    scenario = Scenario(initial_energy_j=1.0)
    here = refine_discrete(scenario, PhysicalSystem(scenario, 0).state, scenario.cell).placement.sum()
    assert [int(out) for out, _ in told] == [here] * 4
    notice = "mecsim compiles Algorithm 1, which takes some seconds once.\n"
    assert {err for _, err in told} <= {"", notice}
    assert list(tmp_path.rglob("*.nbi"))
