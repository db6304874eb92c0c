"""The notebooks as papermill templates: bad parameters are refused by name, good ones are what is run."""

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from mecsim.experiments.figures import FIGURES
from mecsim.experiments.notebooks import (
    FigureParameters,
    LearningParameters,
    StoredParameters,
    TrainingParameters,
)
from mecsim.experiments.panels import PROFILES
from mecsim.experiments.store import ROOT

KINDS = {
    "06_training_into": TrainingParameters,
    "07_fig3": LearningParameters,
    "08_fig4": FigureParameters,
    "09_fig5": FigureParameters,
    "10_fig6": FigureParameters,
    "11_how_close_to_optimal": StoredParameters,
    "12_what_the_paper_leaves_open": StoredParameters,
}
FIGURE_NOTEBOOKS = [name for name, kind in KINDS.items() if issubclass(kind, FigureParameters)]
BEYOND_NOTEBOOKS = [name for name, kind in KINDS.items() if kind is StoredParameters]
TRAINING_NOTEBOOKS = [name for name, kind in KINDS.items() if "actor_hidden" in kind.model_fields]


def execute(notebook, parameters, tmp_path):
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    return papermill.execute_notebook(path, tmp_path / "out.ipynb", parameters, progress_bar=False)


def refused(notebook, parameters, sentence, tmp_path):
    with pytest.raises(PapermillExecutionError) as refusal:
        execute(notebook, parameters, tmp_path)
    assert refusal.value.ename == "SettingError"
    assert sentence in refusal.value.evalue


@pytest.mark.parametrize("notebook", TRAINING_NOTEBOOKS)
@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"learning_rat": 0.1}, "'learning_rat' is no parameter of this notebook"),
        ({"slots": 0}, "Parameters.slots = 0 is not allowed"),
        ({"preset": "moon"}, "Parameters.preset = 'moon' is not allowed"),
        ({"actor_hidden": []}, "Parameters.actor_hidden = [] is not allowed"),
    ],
)
def test_a_training_parameter_is_refused_by_name(notebook, parameters, sentence, tmp_path):
    refused(notebook, parameters, sentence, tmp_path)


@pytest.mark.parametrize("notebook", FIGURE_NOTEBOOKS)
@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"panel": "9z"}, "panel = '9z' is not allowed: it should be all, or one of"),
        ({"changes": {"cpu": 1}}, "Scenario has no field 'cpu'"),
        ({"changes": {"tau_s": -1}}, "Scenario.tau_s = -1 is not allowed"),
    ],
)
def test_a_figure_parameter_is_refused_by_name(notebook, parameters, sentence, tmp_path):
    refused(notebook, parameters, sentence, tmp_path)


@pytest.mark.parametrize("notebook", BEYOND_NOTEBOOKS)
@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"preset": "moon"}, "preset = 'moon' is not allowed"),
        ({"changes": {"cpu": 1}}, "Scenario has no field 'cpu'"),
    ],
)
def test_a_parameter_of_the_notebooks_beyond_the_paper_is_refused_by_name(
    notebook, parameters, sentence, tmp_path
):
    refused(notebook, parameters, sentence, tmp_path)


@pytest.mark.parametrize("notebook", KINDS)
def test_the_parameters_are_those_of_the_record(notebook):
    known = papermill.inspect_notebook(ROOT / "notebooks" / f"{notebook}.ipynb")
    assert set(known) == set(KINDS[notebook].model_fields)


def outputs(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("notebook", FIGURE_NOTEBOOKS)
def test_one_panel_of_one_preset_from_stored_runs(notebook, tmp_path):
    figure = f"fig{notebook[-1]}"
    said = outputs(execute(notebook, {"panel": f"{figure[-1]}a", "preset": "calibrated"}, tmp_path))
    assert "profile paper: 2000 slots trained, 500 evaluated" in said
    assert f"{figure}a" in said
    assert not any(name in said for name in FIGURES[figure][1:])
    assert "printed" not in said.replace("printed: 60000 actions", "")  # of C20, which is about both


def test_a_changed_scenario_is_computed_at_the_quick_scale(tmp_path):
    said = outputs(
        execute("08_fig4", {"panel": "4a", "preset": "calibrated", "changes": {"cpu_hz": 8e9}}, tmp_path)
    )
    quick = PROFILES["quick"]
    assert f"profile quick: {quick.slots} slots trained, {quick.evaluation_slots} evaluated" in said
    assert "reproduced" not in said  # verdicts are for the paper's scale
