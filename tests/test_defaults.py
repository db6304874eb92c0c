"""A default may be added, but not change, while runs that took it for granted are stored."""

import json

from mecsim.experiments.provenance import NUMERICS

from mecsim.experiments import defaults


def rewrite(path, change) -> None:
    written = json.loads(path.read_text())
    change(written)
    path.write_text(json.dumps(written))


def test_what_is_recorded_is_what_is_in_use(tmp_path) -> None:
    path = tmp_path / "defaults.json"
    assert defaults.changed_defaults(path) == []
    defaults.record_defaults(path)
    assert defaults.changed_defaults(path) == []
    recorded = json.loads(path.read_text())["defaults"]
    assert recorded["Scenario"]["tau_s"] == 3.0
    assert recorded["INTOSettings"]["actor_hidden"] == [3000, 1000]
    assert set(recorded) == {"Scenario", "Refinement", "Deviation", "INTOSettings", "DDQNSettings"}


def test_a_changed_default_is_named_and_never_written_over(tmp_path) -> None:
    path = tmp_path / "defaults.json"
    defaults.record_defaults(path)
    rewrite(path, lambda written: written["defaults"]["Scenario"].update(tau_s=4.0))
    for _ in range(2):
        (sentence,) = defaults.changed_defaults(path)
        assert sentence.startswith("the default of Scenario.tau_s was 4.0")
        assert "is 3.0 now" in sentence
        defaults.record_defaults(path)


def test_a_field_that_is_gone_is_named(tmp_path) -> None:
    path = tmp_path / "defaults.json"
    defaults.record_defaults(path)
    rewrite(path, lambda written: written["defaults"]["Refinement"].update(colour="blue"))
    assert "Refinement.colour was 'blue'" in defaults.changed_defaults(path)[0]


def test_a_new_field_is_written_down_beside_the_others(tmp_path) -> None:
    path = tmp_path / "defaults.json"
    defaults.record_defaults(path)
    rewrite(path, lambda written: written["defaults"]["Scenario"].pop("tau_s"))
    assert defaults.changed_defaults(path) == []
    defaults.record_defaults(path)
    assert json.loads(path.read_text())["defaults"]["Scenario"]["tau_s"] == 3.0


def test_other_numerics_start_anew(tmp_path) -> None:
    path = tmp_path / "defaults.json"
    defaults.record_defaults(path)
    rewrite(path, lambda written: written.update(numerics=NUMERICS - 1))
    rewrite(path, lambda written: written["defaults"]["Scenario"].update(tau_s=4.0))
    assert defaults.changed_defaults(path) == []
    defaults.record_defaults(path)
    assert json.loads(path.read_text())["numerics"] == NUMERICS
    assert json.loads(path.read_text())["defaults"]["Scenario"]["tau_s"] == 3.0
