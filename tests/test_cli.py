"""The commands that tell what is stored: verdicts, figures, checks."""

import json
from inspect import signature

import pytest
from typer.testing import CliRunner

from mecsim.experiments import claims, drawn, runner
from mecsim.experiments.claims import CHOSEN_WHY, CLAIMS, Ruling
from mecsim.experiments.cli import app
from mecsim.experiments.results import MissingRuns


@pytest.fixture
def call():
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def lacking(monkeypatch):
    """Verdicts without stored runs; the claims put in here lack theirs."""
    lacking = set()

    def rule_on(name, preset="calibrated", reading="frozen"):
        if name in lacking:
            raise MissingRuns("fig6a: 1 of 5 seeds are stored; compute them.")
        return Ruling(name, preset, "inconclusive", 0.1, -0.2, 0.4, 3)

    monkeypatch.setattr(claims, "rule_on", rule_on)
    return lacking


def test_claims_as_json_are_objects_with_the_keys_of_a_verdict(call, lacking):
    told = json.loads(call("claims", "--json", "--preset", "printed").stdout)
    assert [one["id"] for one in told] == list(CLAIMS)
    assert all(list(one) == ["id", "preset", "verdict", "effect", "low", "high", "seeds"] for one in told)
    assert {one["preset"] for one in told} == {"printed"}


def test_claims_as_text_say_what_was_measured(call, lacking):
    done = call("claims")
    assert done.exit_code == 0
    for name, claim in CLAIMS.items():
        assert (
            f"{name}  inconclusive{claim.mark('calibrated')}: {claim.statement} ({claim.source})"
            in done.stdout
        )
        assert claim.rule in done.stdout
    assert "0.1 [-0.2, 0.4], 3 seeds" in done.stdout
    assert "0.1 [-0.2, 0.4] slots, 3 seeds" in done.stdout
    assert done.stdout.endswith(f"{CHOSEN_WHY}\n")
    assert CHOSEN_WHY not in call("claims", "--preset", "printed").stdout


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_claim_whose_runs_are_missing_is_named_and_the_others_are_told(call, lacking, form):
    lacking.add("C16")
    done = call("claims", *form)
    assert done.exit_code == 1
    assert done.stderr == "C16 has no verdict. fig6a: 1 of 5 seeds are stored; compute them.\n"
    assert '"C17"' in done.stdout if form else "C17  inconclusive" in done.stdout
    assert "C16" not in done.stdout


def test_the_preset_and_the_reading_are_passed_on(call, monkeypatch):
    told = set()
    ruling = Ruling("C1", "printed", "inconclusive", 0.1, -0.2, 0.4, 3)
    monkeypatch.setattr(claims, "rule_on", lambda name, *asked: told.add(asked) or ruling._replace(id=name))
    assert call("claims", "--preset", "printed", "--reading", "training").exit_code == 0
    assert told == {("printed", "training")}


def test_a_run_passes_on_what_it_is_told(call, monkeypatch):
    known, told = signature(runner.run_experiments), []
    monkeypatch.setattr(
        runner, "run_experiments", lambda *some, **named: told.append(known.bind(*some, **named)) or []
    )
    call("run", "fig4a", "--preset", "printed", "--scheduler", "local", "--seeds", "2", "--workers", "3")
    given = told[0].arguments
    assert given["names"] == ["fig4a"]
    assert {name: given[name] for name in ("profile", "preset", "seeds", "workers", "scheduler")} == {
        "profile": "quick",
        "preset": "printed",
        "seeds": 2,
        "workers": 3,
        "scheduler": "local",
    }


def test_figures_go_where_they_are_asked_to(call, monkeypatch, tmp_path):
    monkeypatch.setattr(drawn, "draw", lambda out: [out / "fig3.svg"])
    assert call("figures", "--out", str(tmp_path)).stdout == f"{tmp_path / 'fig3.svg'}\n"
