"""The training notebooks refuse unknown and bad parameters by name, before anything runs."""

import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from mecsim.experiments.store import ROOT

NOTEBOOKS = ("06_training_into", "07_fig3")


@pytest.mark.parametrize("notebook", NOTEBOOKS)
@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"learning_rat": 0.1}, "'learning_rat' is no parameter of this notebook"),
        ({"slots": 0}, "TrainingParameters.slots = 0 is not allowed"),
        ({"preset": "moon"}, "TrainingParameters.preset = 'moon' is not allowed"),
        ({"actor_hidden": []}, "TrainingParameters.actor_hidden = [] is not allowed"),
    ],
)
def test_a_parameter_is_refused_by_name(notebook, parameters, sentence, tmp_path):
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    with pytest.raises(PapermillExecutionError) as refusal:
        papermill.execute_notebook(path, tmp_path / "out.ipynb", parameters, progress_bar=False)
    assert refusal.value.ename == "SettingError"
    assert sentence in refusal.value.evalue


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_parameters_are_those_of_a_training(notebook):
    known = papermill.inspect_notebook(ROOT / "notebooks" / f"{notebook}.ipynb")
    assert set(known) == {
        "preset",
        "learning_rate",
        "gamma",
        "slots",
        "seeds",
        "actor_hidden",
        "critic_hidden",
    }
