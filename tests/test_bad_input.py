"""What is handed over in the wrong kind is answered in one sentence, wherever it enters."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner
from worlds import TINY

from mecsim import (
    AGENTS,
    Action,
    DigitalTwin,
    PhysicalSystem,
    Scenario,
    make_agent,
    refine_discrete,
    rollout,
    train,
)
from mecsim.experiments import claims, cli
from mecsim.experiments.notebooks import FigureParameters, WalkParameters
from mecsim.experiments.panels import RunStore
from mecsim.experiments.store import DamagedFile
from mecsim.settings import SettingError
from mecsim.system import feasible, least_cpu_hz, outcome

N = TINY.n_devices
STATE = PhysicalSystem(TINY, 1).state
NOWHERE, NONE = np.full(N, -1), np.zeros(N)
PLACEMENT = r"is not allowed: it should hold whole numbers, the BS of a task \(0\.\.\d\) or -1"


@pytest.mark.parametrize("value", [-2, 99, 0.5])
@pytest.mark.parametrize("use", [least_cpu_hz, feasible, refine_discrete], ids=lambda use: use.__name__)
def test_a_placement_names_bss_that_are_there(use, value) -> None:
    named = f"values of type float64 {PLACEMENT}" if value == 0.5 else f"placement with {value} {PLACEMENT}"
    state = PhysicalSystem(TINY.replace(initial_energy_j=1.0), 1).state
    with pytest.raises(SettingError, match=named):
        use(TINY, state, np.full(N, value))


@pytest.mark.parametrize("hz", [-1e9, np.nan])
def test_cpu_is_none_or_more(hz) -> None:
    with pytest.raises(SettingError, match=r"cpu_hz with .* is not allowed: it should hold 0 or more"):
        outcome(TINY, STATE, Action(NOWHERE, np.full(N, hz)))


def test_arrays_are_arrays() -> None:
    with pytest.raises(SettingError, match="cpu_hz of type list is not allowed: it should be an array"):
        outcome(TINY, STATE, Action(NOWHERE, NONE.tolist()))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: rollout("all-on", PhysicalSystem(TINY), 2),
            "agent = 'all-on' is not allowed: it should be an agent",
        ),
        (lambda: train("INTO", DigitalTwin(TINY), 2), "agent = 'INTO' is not allowed: it should be an agent"),
        (
            lambda: PhysicalSystem(TINY, 0, device_seed=-1),
            "device_seed = .* is not allowed: it should be a whole",
        ),
        (lambda: rollout(make_agent("all-on", TINY), TINY, 2), "system of type Scenario is not allowed"),
        (
            lambda: train(make_agent("all-on", TINY), DigitalTwin(TINY), 2),
            "AllOn is not allowed: it should be INTO or",
        ),
        (lambda: make_agent(["INTO"], TINY), r"agent = \['INTO'\] is not allowed: it should be one of INTO"),
        (lambda: Scenario.preset(["printed"]), r"preset = \['printed'\] is not allowed: it should be one of"),
        (lambda: make_agent("INTO", TINY, settings={"device": "meta"}), "device = 'meta' is not allowed"),
        (lambda: claims.rule_on("C99"), "claim = 'C99' is not allowed: it should be one of C1"),
        (
            lambda: claims.rule_on("C1", reading="foo"),
            "reading = 'foo' is not allowed: it should be one of frozen",
        ),
        (lambda: WalkParameters.of({"preset": "calibrated", "seed": 0}), "WalkParameters.slots is missing"),
    ],
)
def test_one_sentence_says_what_is_wanted(use, message) -> None:
    with pytest.raises(SettingError, match=message):
        use()


@pytest.mark.parametrize("entry", ["nowhere:Agent", "mecsim", "mecsim:Nobody"])
def test_an_agent_of_one_s_own_that_cannot_be_imported_is_named(monkeypatch, entry) -> None:
    monkeypatch.setitem(AGENTS, "mine", entry)
    with pytest.raises(
        SettingError, match=rf"AGENTS\['mine'\] = '{entry}' is not allowed: it should be \"module:Class"
    ):
        make_agent("mine", TINY)


def test_a_panel_that_yaml_takes_for_a_number_is_a_name() -> None:
    given = FigureParameters.of({"preset": "both", "changes": {}, "panel": 6})
    with pytest.raises(SettingError, match="panel = '6' is not allowed: it should be all, or one of 6a"):
        given.panels(["fig6a"])


@pytest.mark.parametrize("row", [{}, 5])
def test_a_manifest_of_other_rows_is_damaged(tmp_path, row) -> None:
    (tmp_path / "_manifest.json").write_text(json.dumps({"a.parquet": row}), encoding="utf-8")
    with pytest.raises(DamagedFile, match=r"_manifest\.json is not readable; delete it"):
        RunStore(tmp_path).manifest()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "fig3a", "--json"], "--json is not allowed: it should come with --dry-run"),
        (["run", "twin-harvest-noise", "--device", "nothing"], "device = 'nothing' is not allowed"),
    ],
)
def test_a_command_says_so_before_it_computes(words, message) -> None:
    assert re.search(message, str(CliRunner().invoke(cli.app, words).exception))
