"""What a command would compute, told before it is computed."""

from dataclasses import replace

import pytest
from mecsim.experiments.cost import Machine, cost_s
from mecsim.experiments.plan import Plan, plan
from mecsim.experiments.progress import clock_time
from typer.testing import CliRunner

from mecsim import cli
from mecsim.agents import AGENTS
from mecsim.experiments.panels import PROFILES, runs_of

MACHINE = Machine(flop_per_s=1e11, slot_s=1e-3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], folder=tmp_path / "runs"))
    return tmp_path / "runs"


def test_a_dry_run_lists_each_point_with_its_cost_and_writes_nothing(folder) -> None:
    result = CliRunner().invoke(cli.app, ["run", "fig3b", "--dry-run", "--seeds", "2", "--workers", "3"])
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "0 of 6 runs are stored. Missing:"
    assert [line.rpartition(", ")[0] for line in lines[1:-1]] == [
        f"  INTO{point}: 2 runs, seeds 0-1" for point in (", gamma 0.99", ", gamma 0.79", ", gamma 0.59")
    ]
    assert lines[-1].startswith("6 runs: about 0:")
    assert lines[-1].endswith("with workers = 3.")
    assert not folder.exists()


def test_what_is_stored_is_not_planned_again(folder) -> None:
    folder.mkdir()
    first, *_ = plan(["fig3b"], seeds=1).runs
    (folder / f"{first.key}.parquet").touch()
    wanted = plan(["fig3b"], seeds=1)
    assert first not in wanted.missing
    assert (len(wanted.missing), wanted.stored) == (2, 1)
    assert wanted.describe(MACHINE, 1).startswith("1 of 3 runs are stored. Missing:")
    for run in wanted.missing:
        (folder / f"{run.key}.parquet").touch()
    assert plan(["fig3b"], seeds=1).describe(MACHINE, 1) == "3 of 3 runs are stored: nothing is missing."


def test_the_cost_is_the_sum_and_with_workers_the_longest_of_them(folder) -> None:
    wanted = plan(["fig3b"], seeds=1)
    one = cost_s(wanted.runs[0], MACHINE)
    assert wanted.costs_s(MACHINE) == [one] * 3
    last = wanted.describe(MACHINE, workers=2).splitlines()[-1]
    assert last == (
        f"3 runs: about {clock_time(3 * one)} of one thread of this machine, "
        f"{clock_time(2 * one)} with workers = 2."
    )


def test_where_there_are_many_points_the_values_of_a_field_share_a_line(folder) -> None:
    runs = runs_of(["fig6a", "fig6b", "fig6c", "fig6d"], "quick", seeds=1)
    first, *lines, _ = Plan(runs, PROFILES["quick"]).describe(MACHINE, workers=1).splitlines()
    assert first == f"0 of {len(runs)} runs are stored. Missing:"
    shared = {line.partition(":")[0].strip(): line for line in lines}
    assert len(shared) == len(lines) == len(AGENTS) * 4
    assert sum(int(line.partition(": ")[2].split()[0]) for line in lines) == len(runs)
    assert "size_scale" in " ".join(shared)


def test_a_change_on_the_way_and_a_shorter_training_are_told_apart(folder) -> None:
    told = Plan(runs_of(["change"], "quick", seeds=1), PROFILES["quick"]).describe(MACHINE, workers=1)
    assert [line.partition(":")[0] for line in told.splitlines()[1:-1]] == [
        "  INTO, slots 150",
        "  INTO, then award_scale (3, 1, 1), slots 150",
        "  INTO, then award_scale (3, 1, 1)",
    ]
