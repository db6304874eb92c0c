"""The parameters of a notebook: what papermill may inject, refused by name where it is wrong."""

from typing import Any

import pytest

from mecsim.experiments.notebooks import TrainingParameters, WalkParameters
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
