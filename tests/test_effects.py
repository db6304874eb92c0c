"""What a change is worth: paired over seeds, as a share of the base."""

import pandas as pd
import pytest

from mecsim.experiments.effects import effects
from mecsim.experiments.statistics import interval
from mecsim.settings import SettingError


def table(incomes: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"label": label, "agent": agent, "seed": seed, "metric": "income", "slot": -1, "value": value}
            for (label, agent), values in incomes.items()
            for seed, value in enumerate(values)
        ]
    )


LEVELS = table(
    {
        ("plain", "INTO"): [100.0, 200.0, 50.0],
        ("changed", "INTO"): [110.0, 218.0, 56.0],
        ("worse", "INTO"): [90.0, 180.0, 45.0],
        ("plain", "all-on"): [10.0, 10.0, 10.0],
        ("of rules alone", "all-on"): [11.0, 12.0, 13.0],
    }
)


def test_a_seed_is_compared_with_itself():
    changed, worse = effects(LEVELS, "plain").to_dict("records")
    assert changed == pytest.approx({"label": "changed", **interval([0.10, 0.09, 0.12])._asdict()})
    assert (worse["mean"], worse["low"], worse["high"]) == pytest.approx((-0.1, -0.1, -0.1))


def test_points_without_the_agent_are_left_out():
    assert effects(LEVELS, "plain", "all-on")["label"].tolist() == ["of rules alone"]


def test_the_base_has_to_be_a_point_of_the_agent():
    with pytest.raises(
        SettingError, match=r"base = 'changed' is not allowed: .* points of all-on, plain, of rules"
    ):
        effects(LEVELS, "changed", "all-on")
    with pytest.raises(SettingError, match="points of DDQN, which has none"):
        effects(LEVELS, "plain", "DDQN")
