"""The parameters of the notebooks: what papermill may put in, refused by name where it is wrong, and what is run."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import papermill
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from stored import put_run

from mecsim.experiments import results
from mecsim.experiments.notebooks import (
    ExploreParameters,
    FigureParameters,
    LearningParameters,
    StoredParameters,
    TrainingParameters,
    WalkParameters,
)
from mecsim.experiments.panels import FIGURES, PROFILES, Profile, runs_of
from mecsim.experiments.store import ROOT
from mecsim.settings import SettingError

WALK = {"preset": "calibrated", "seed": 0, "slots": 200}
NEURONS = {"actor_hidden": [3000, 1000], "critic_hidden": [1500, 600]}
TRAINING = {"preset": "printed", "learning_rate": 1e-4, "gamma": 0.99, "slots": 2000, "seeds": 5, **NEURONS}
FIGURE = {"panel": "all", "preset": "both", "changes": {}}
USUAL = {
    WalkParameters: WALK,
    TrainingParameters: TRAINING,
    FigureParameters: FIGURE,
    ExploreParameters: {"slot": 20, "device": 34, "training_slot": 300},
}


def notebook(values: dict[str, Any], *injected: str) -> dict[str, Any]:
    """What `globals()` holds in a notebook whose parameters cell ran, and then the cells that papermill put in."""
    cells = ["import mecsim", "\n".join(f"{name} = {value!r}" for name, value in values.items()), *injected]
    namespace: dict[str, Any] = {"In": ["", *cells], "np": object(), "_": 1}
    for cell in cells[1:]:
        exec(cell, namespace)
    return namespace


@pytest.mark.parametrize(
    ("injected", "changes"),
    [
        ([], {}),
        (['# Parameters\nslots = 50\npreset = "printed"\n'], {"slots": 50, "preset": "printed"}),
        (["# Parameters\n"], {}),
        (["figures = 3  # Parameters\n"], {}),  # what the notebook itself assigns is its own business
        (["# Parameters\nslots = 50\n", "# Parameters\ntitle = 'my figure'\n"], {"slots": 50}),
        (["print(slots)", "# Parameters\ntitle = 'my figure'\n"], {}),
    ],
)
def test_the_parameters_are_those_of_the_notebook_and_of_papermill(injected, changes) -> None:
    assert WalkParameters.of(notebook(WALK, *injected)) == WalkParameters(**WALK | changes)


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    found = FigureParameters.of(FIGURE | {"changes": {"cpu_hz": "5e9", "award_scale": [1, "2e0", 3]}})
    assert found.changes == {"cpu_hz": 5e9, "award_scale": [1, 2.0, 3]}
    assert (found.panel, found.preset) == ("all", "both")
    assert TrainingParameters.of(TRAINING | {"slots": "2e3"}).slots == 2000
    assert StoredParameters.of({"preset": "both", "changes": {"links": "star"}}).changes == {"links": "star"}


def test_outside_a_notebook_and_with_lists_of_neurons() -> None:
    found = TrainingParameters.of(dict(TRAINING))
    assert (found.actor_hidden, found.critic_hidden) == ((3000, 1000), (1500, 600))


@pytest.mark.parametrize("name", ["foo", "np"])  # np is used elsewhere in the notebook
def test_what_is_no_parameter_is_refused_by_name(name) -> None:
    with pytest.raises(SettingError) as caught:
        WalkParameters.of(notebook(WALK, f"# Parameters\nslots = 50\n{name} = 1\n"))
    assert str(caught.value) == f"{name!r} is no parameter of this notebook: they are preset, seed, slots."


@pytest.mark.parametrize(
    ("model", "name", "value", "allowed"),
    [
        (WalkParameters, "preset", "papers", "'calibrated', 'printed' or 'physical'"),
        (WalkParameters, "seed", -1, "greater than or equal to 0"),
        (WalkParameters, "slots", 0, "greater than or equal to 1"),
        (WalkParameters, "slots", "many", "integer"),
        (TrainingParameters, "learning_rate", 0.0, "greater than 0"),
        (TrainingParameters, "learning_rate", float("nan"), "finite"),
        (TrainingParameters, "gamma", 1.0, "less than 1"),
        (TrainingParameters, "seeds", 0, "greater than or equal to 1"),
        (TrainingParameters, "actor_hidden", [0], "greater than or equal to 1"),
        (TrainingParameters, "critic_hidden", [], "at least 1"),
        (FigureParameters, "preset", "moon", "'both', 'calibrated', 'printed' or 'physical'"),
        (ExploreParameters, "slot", 60, "less than 60"),
        (ExploreParameters, "device", 0, "greater than or equal to 1"),
        (ExploreParameters, "training_slot", 2000, "less than 2000"),
    ],
)
def test_a_bad_value_is_refused_by_name_before_anything_runs(model, name, value, allowed) -> None:
    with pytest.raises(SettingError) as caught:
        model.of({**USUAL[model], name: value, "In": [""]})
    sentence = str(caught.value)
    assert sentence.startswith(f"{model.__name__}.{name} = ")
    assert allowed in sentence
    assert sentence.endswith(".")
    assert "validation" not in sentence


def test_all_panels_or_one() -> None:
    whole = FigureParameters(**FIGURE)
    assert whole.panels(FIGURES["fig6"]) == list(FIGURES["fig6"])
    assert whole.presets == ["calibrated", "printed"]
    one = FigureParameters(panel="6b", preset="physical", changes={})
    assert one.panels(FIGURES["fig6"]) == ["fig6b"]
    assert one.presets == ["physical"]
    with pytest.raises(SettingError, match="panel = '6b' is not allowed: it should be all, or one of 4a, 4b"):
        one.panels(FIGURES["fig4"])


KINDS = {
    "06_training_into": TrainingParameters,
    "07_fig3": LearningParameters,
    "08_fig4": FigureParameters,
    "09_fig5": FigureParameters,
    "10_fig6": FigureParameters,
    "11_how_close_to_optimal": StoredParameters,
    "12_what_the_paper_leaves_open": StoredParameters,
}


def path_of(notebook: str) -> Path:
    return ROOT / "notebooks" / f"{notebook}.ipynb"


def run(notebook: str, parameters: dict[str, Any]) -> str:
    """Runs a notebook's cells here, with parameters put in as papermill does, and returns what they print."""
    put_in = parameterize_notebook(load_notebook_node(str(path_of(notebook))), parameters)
    cells = [cell.source for cell in put_in.cells if cell.cell_type == "code"]
    namespace: dict[str, Any] = {"In": ["", *cells]}
    with redirect_stdout(StringIO()) as said, plt.rc_context():
        for cell in cells:
            exec(cell, namespace)
    return said.getvalue()


@pytest.mark.parametrize(
    ("notebook", "parameters", "sentence"),
    [
        *((name, {"preset": "moon"}, "preset = 'moon' is not allowed") for name in KINDS),
        *((name, {"changes": {"cpu": 1}}, "Scenario has no field 'cpu'") for name in list(KINDS)[1:]),
        ("06_training_into", {"learning_rat": 0.1}, "'learning_rat' is no parameter of this notebook"),
        ("08_fig4", {"changes": {"tau_s": -1}}, "Scenario.tau_s = -1 is not allowed"),
        ("08_fig4", {"panel": "9z"}, "panel = '9z' is not allowed: it should be all, or one of 4a, 4b."),
    ],
)
def test_a_parameter_is_refused_by_name(notebook, parameters, sentence):
    with pytest.raises(SettingError) as refusal:
        run(notebook, parameters)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("notebook", KINDS)
def test_the_parameters_are_those_of_the_record(notebook):
    known = papermill.inspect_notebook(path_of(notebook))
    assert set(known) == set(KINDS[notebook].model_fields)


@pytest.mark.parametrize("notebook", ["07_fig3", "08_fig4"])
def test_one_panel_of_one_preset_from_stored_runs(notebook):
    figure = f"fig{notebook[-1]}"
    chosen = {"panel": f"{figure[-1]}a", "preset": "calibrated"}
    said = run(notebook, chosen | ({"slots": 30} if KINDS[notebook] is LearningParameters else {}))
    assert "profile paper: 2000 slots trained, 500 evaluated" in said
    assert f"{figure}a" in said
    assert not any(name in said for name in FIGURES[figure][1:])
    assert "printed" not in said.replace("printed: 60000 actions", "")  # of C20, which is about both


def test_a_changed_scenario_is_computed_at_the_quick_scale(tmp_path, monkeypatch):
    tiny = {"INTO": {"actor_hidden": (4, 4), "critic_hidden": (4, 4)}}
    monkeypatch.setitem(PROFILES, "quick", Profile(2, 4, 3, tmp_path, tiny))

    def run_here(panels, profile, preset, changes):
        for one in runs_of(panels, profile, preset, changes=changes):
            put_run(one, tmp_path)

    monkeypatch.setattr(results, "run_experiments", run_here)
    said = run("08_fig4", {"panel": "4a", "preset": "calibrated", "changes": {"cpu_hz": 8e9}})
    assert "profile quick: 4 slots trained, 3 evaluated" in said
    assert "reproduced" not in said  # verdicts are for the paper's scale
