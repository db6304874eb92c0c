"""The parameters of the notebooks: what papermill may put in, refused by name where it is wrong, and what is run."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from stored import put_run

from mecsim.experiments import results
from mecsim.experiments.notebooks import (
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
TRAINING = {
    "preset": "printed",
    "learning_rate": 1e-4,
    "gamma": 0.99,
    "slots": 2000,
    "seeds": 5,
    "actor_hidden": [3000, 1000],
    "critic_hidden": [1500, 600],
}


def notebook(values: dict[str, Any], *injected: str) -> dict[str, Any]:
    """What `globals()` holds in a notebook whose parameters cell ran, and then the cells that papermill put in."""
    cells = ["import mecsim", "\n".join(f"{name} = {value!r}" for name, value in values.items()), *injected]
    namespace: dict[str, Any] = {"In": ["", *cells], "np": object(), "_": 1}
    for cell in cells[1:]:
        exec(cell, namespace)
    return namespace


class TestValues:
    def test_as_the_notebook_has_them(self) -> None:
        found = WalkParameters.of(notebook(WALK))
        assert found == WalkParameters(**WALK)
        assert (found.preset, found.seed, found.slots) == ("calibrated", 0, 200)

    def test_lists_of_neurons(self) -> None:
        found = TrainingParameters.of(notebook(TRAINING))
        assert (found.actor_hidden, found.critic_hidden) == ((3000, 1000), (1500, 600))

    def test_as_papermill_overrides_them(self) -> None:
        found = WalkParameters.of(notebook(WALK, '# Parameters\nslots = 50\npreset = "printed"\n'))
        assert (found.preset, found.seed, found.slots) == ("printed", 0, 50)

    def test_outside_a_notebook(self) -> None:
        assert WalkParameters.of(dict(WALK)) == WalkParameters(**WALK)


class TestUnknownNames:
    def test_are_refused_by_name(self) -> None:
        with pytest.raises(SettingError) as caught:
            WalkParameters.of(notebook(WALK, "# Parameters\nslots = 50\nfoo = 1\n"))
        assert str(caught.value) == "'foo' is no parameter of this notebook: they are preset, seed, slots."

    def test_even_where_the_notebook_uses_that_name_elsewhere(self) -> None:
        namespace = notebook(WALK, "# Parameters\nnp = 1\n")
        with pytest.raises(SettingError, match="'np' is no parameter"):
            WalkParameters.of(namespace)

    def test_what_the_notebook_itself_assigns_is_its_own_business(self) -> None:
        assert WalkParameters.of(notebook(WALK, "figures = 3  # Parameters\n")).slots == 200

    @pytest.mark.parametrize("cell", ["# Parameters\nslots: int = 50\n", "# Parameters\n"])
    def test_other_cells_of_papermill_are_no_trouble(self, cell) -> None:
        assert WalkParameters.of(notebook(WALK, cell)).seed == 0


@pytest.mark.parametrize(
    ("model", "name", "value", "allowed"),
    [
        (WalkParameters, "preset", "papers", "'calibrated', 'printed' or 'physical'"),
        (WalkParameters, "seed", -1, "greater than or equal to 0"),
        (WalkParameters, "slots", 0, "greater than or equal to 1"),
        (WalkParameters, "slots", 1.5, "integer"),
        (WalkParameters, "slots", "many", "integer"),
        (TrainingParameters, "learning_rate", 0.0, "greater than 0"),
        (TrainingParameters, "learning_rate", float("nan"), "finite"),
        (TrainingParameters, "gamma", 1.0, "less than 1"),
        (TrainingParameters, "seeds", 0, "greater than or equal to 1"),
        (TrainingParameters, "actor_hidden", [0], "greater than or equal to 1"),
        (TrainingParameters, "critic_hidden", [], "at least 1"),
    ],
)
def test_a_bad_value_is_refused_by_name_before_anything_runs(model, name, value, allowed) -> None:
    values = dict(WALK if model is WalkParameters else TRAINING)
    with pytest.raises(SettingError) as caught:
        model.of({**values, name: value, "In": [""]})
    sentence = str(caught.value)
    assert sentence.startswith(f"{model.__name__}.{name} = ")
    assert allowed in sentence
    assert sentence.endswith(".")
    assert "validation" not in sentence


class TestPanels:
    def test_all_panels_or_one(self):
        whole = FigureParameters(panel="all", preset="both", changes={})
        assert whole.panels(FIGURES["fig6"]) == list(FIGURES["fig6"])
        assert whole.presets == ["calibrated", "printed"]
        one = FigureParameters(panel="6b", preset="physical", changes={})
        assert one.panels(FIGURES["fig6"]) == ["fig6b"]
        assert one.presets == ["physical"]

    def test_what_is_not_there_is_refused_in_one_sentence(self):
        with pytest.raises(
            SettingError, match="panel = '4a' is not allowed: it should be all, or one of 6a, 6b, 6c, 6d"
        ):
            FigureParameters(panel="4a", preset="both", changes={}).panels(FIGURES["fig6"])
        with pytest.raises(SettingError, match=r"FigureParameters\.preset = 'moon'"):
            FigureParameters(panel="all", preset="moon", changes={})


KINDS = {
    "06_training_into": TrainingParameters,
    "07_fig3": LearningParameters,
    "08_fig4": FigureParameters,
    "09_fig5": FigureParameters,
    "10_fig6": FigureParameters,
    "11_how_close_to_optimal": StoredParameters,
    "12_what_the_paper_leaves_open": StoredParameters,
}
FIGURE_NOTEBOOKS = tuple(name for name, kind in KINDS.items() if issubclass(kind, FigureParameters))
BEYOND_NOTEBOOKS = tuple(name for name, kind in KINDS.items() if kind is StoredParameters)
TRAINING_NOTEBOOKS = tuple(name for name, kind in KINDS.items() if "actor_hidden" in kind.model_fields)


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


REFUSED = {
    TRAINING_NOTEBOOKS: [
        ({"learning_rat": 0.1}, "'learning_rat' is no parameter of this notebook"),
        ({"slots": 0}, "Parameters.slots = 0 is not allowed"),
        ({"preset": "moon"}, "Parameters.preset = 'moon' is not allowed"),
        ({"actor_hidden": []}, "Parameters.actor_hidden = [] is not allowed"),
    ],
    FIGURE_NOTEBOOKS: [
        ({"panel": "9z"}, "panel = '9z' is not allowed: it should be all, or one of"),
        ({"changes": {"tau_s": -1}}, "Scenario.tau_s = -1 is not allowed"),
    ],
    BEYOND_NOTEBOOKS: [({"preset": "moon"}, "preset = 'moon' is not allowed")],
    FIGURE_NOTEBOOKS + BEYOND_NOTEBOOKS: [({"changes": {"cpu": 1}}, "Scenario has no field 'cpu'")],
}


@pytest.mark.parametrize(
    ("notebook", "parameters", "sentence"),
    [(name, *case) for names, cases in REFUSED.items() for name in names for case in cases],
)
def test_a_parameter_is_refused_by_name(notebook, parameters, sentence):
    with pytest.raises(SettingError) as refusal:
        run(notebook, parameters)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("notebook", KINDS)
def test_the_parameters_are_those_of_the_record(notebook):
    known = papermill.inspect_notebook(path_of(notebook))
    assert set(known) == set(KINDS[notebook].model_fields)


@pytest.mark.parametrize("notebook", FIGURE_NOTEBOOKS)
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


def test_papermill_itself_stops_at_the_refusal_and_says_it(tmp_path):
    with pytest.raises(PapermillExecutionError) as refusal:
        papermill.execute_notebook(
            path_of("08_fig4"), tmp_path / "out.ipynb", {"panel": "9z"}, progress_bar=False
        )
    assert refusal.value.ename == "SettingError"
    assert "panel = '9z' is not allowed: it should be all, or one of 4a, 4b." in refusal.value.evalue
