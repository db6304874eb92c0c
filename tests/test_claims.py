"""The margins of the claims by hand, and the rules that turn stored runs into verdicts come out each of three ways."""

import numpy as np
import pandas as pd
import pytest

from mecsim.experiments import claims, margins
from mecsim.experiments.margins import (
    FLAT,
    Evidence,
    converged_at,
    counts_rise,
    first_rises_others_fall,
    flattens,
    ordered,
)
from mecsim.experiments.panels import AFTER, BEFORE, CONTROL, FIGURES, PRESETS, PROFILES, TRAINED
from mecsim.experiments.register import income_effects
from mecsim.experiments.results import COLUMNS, curves, results
from mecsim.experiments.runs import Run, path_of
from mecsim.experiments.standings import LONG_RUN_BOUND, standings
from mecsim.experiments.statistics import interval
from mecsim.experiments.store import ROOT, read_table

RATES = ("0.0001", "0.001", "0.01")
PLACES = ("1", "2", "3", "4")


def panel(metrics: dict[tuple[str, str], np.ndarray], labels: tuple[str, ...] = PLACES) -> pd.DataFrame:
    """A table of means as `results` gives it, from arrays (seeds, points) by agent and metric."""
    rows = [
        (label, agent, seed, metric, -1, value)
        for (agent, metric), of_seeds in metrics.items()
        for seed, of_points in enumerate(of_seeds)
        for label, value in zip(labels, of_points, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def around(levels: list[float], spread: float = 0.1) -> np.ndarray:
    """Three seeds that scatter around a level at each point, (3, points)."""
    return np.asarray(levels) + spread * np.array([[-1.0], [0.2], [0.8]])


@pytest.fixture
def stored(monkeypatch):
    """Puts one table in the place of every stored experiment."""

    def put(table):
        monkeypatch.setattr(claims, "results", lambda name, preset: table)

    return put


def three_rates(levels, converged=(500, 500, 500)) -> pd.DataFrame:
    """Curves that reach their level at a slot (of all seeds or of each), and frozen incomes, by learning rate.

    All-on, which does not learn, earns 10 in every slot.
    """
    steady = panel({("all-on", "training income"): np.full((3, 1), 10.0)}, ("all-on",))
    rows = [row for slot in range(2000) for row in steady.assign(slot=slot).to_numpy().tolist()]
    for label, of_seeds, at in zip(RATES, levels, converged, strict=True):
        for seed, (level, slot) in enumerate(zip(of_seeds, np.broadcast_to(at, 3), strict=True)):
            curve = level * (0.5 + 0.5 * np.minimum(np.arange(2000) / slot, 1.0))
            rows += [(label, "INTO", seed, "training income", *at_slot) for at_slot in enumerate(curve)]
            rows.append((label, "INTO", seed, "income", -1, level))
    return pd.DataFrame(rows, columns=COLUMNS)


FALLING = ([30.0, 31.0, 32.0], [20.0, 21.0, 22.5], [10.0, 11.0, 12.0])
TANGLED = ([30.0, 21.0, 32.0], [20.0, 31.0, 22.5], [10.0, 11.0, 12.0])


@pytest.mark.parametrize("reading", ["frozen", "training"])
@pytest.mark.parametrize("claim", ["C1", "C3"])
@pytest.mark.parametrize(
    ("levels", "expected"),
    [(FALLING, "reproduced"), (FALLING[::-1], "not reproduced"), (TANGLED, "inconclusive")],
)
def test_income_orders(stored, claim, levels, expected, reading):
    stored(three_rates(levels))
    ruling = claims.rule_on(claim, reading=reading)
    assert ruling.verdict == expected
    assert ruling.low <= ruling.effect <= ruling.high
    assert ruling.seeds == 3


def test_the_two_readings_read_different_rows(stored):
    table = three_rates(FALLING)
    frozen = table["metric"] == "income"
    stored(table.assign(value=table["value"].where(~frozen, 100.0 - table["value"])))
    assert claims.rule_on("C1").verdict == "not reproduced"
    assert claims.rule_on("C1", reading="training").verdict == "reproduced"


RISE, FALL, STEADY = [10.0, 12.0, 14.0, 16.0], [20.0, 18.0, 16.0, 14.0], [20.0, 20.0, 20.0, 20.0]
SATURATING, ENDS_LOWER = [10.0, 14.0, 15.9, 16.0], [10.0, 14.0, 16.0, 14.0]
ABOVE = [30.0, 30.0, 30.0, 30.0]


def of_bs(*levels: list[float]) -> pd.DataFrame:
    """Offloading devices around a level of each BS."""
    named = enumerate(levels, start=1)
    return panel({("INTO", f"offloading BS-{bs}"): around(level) for bs, level in named})


@pytest.mark.parametrize(
    ("names", "good", "bad"),
    [
        (("C4", "C6"), (RISE, FALL, FALL), (FALL, FALL, FALL)),
        (("C4", "C6"), (RISE, FALL, FALL), (RISE, RISE, FALL)),
        (("C4", "C6"), (RISE, FALL, FALL), (RISE, FALL, RISE)),
        (("C5",), (RISE, STEADY, ABOVE), (STEADY, RISE, ABOVE)),
        (("C5",), (RISE, STEADY, ABOVE), (RISE, STEADY, FALL)),
        (("C5",), (RISE, STEADY, ABOVE), (RISE, [20.0, 20.0, 20.0, 31.0], ABOVE)),
        (("C7", "C9"), (RISE, RISE, RISE), (FALL, RISE, RISE)),
        (("C7", "C9"), (RISE, RISE, RISE), (RISE, FALL, RISE)),
        (("C7", "C9"), (RISE, RISE, RISE), (RISE, RISE, FALL)),
        (("C8", "C10"), (SATURATING, SATURATING, SATURATING), (RISE, RISE, RISE)),
        (("C8", "C10"), (SATURATING, SATURATING, SATURATING), (ENDS_LOWER, ENDS_LOWER, ENDS_LOWER)),
    ],
)
def test_counts_follow_a_sweep(stored, names, good, bad):
    mixed = pd.concat([of_bs(*good), of_bs(*bad).assign(seed=lambda table: table["seed"] + 3)])
    for table, expected in (
        (of_bs(*good), "reproduced"),
        (of_bs(*bad), "not reproduced"),
        (mixed, "inconclusive"),
    ):
        stored(table)
        assert {claims.rule_on(claim).verdict for claim in names} == {expected}


def test_margins_of_counts_by_hand():
    counts = np.array([[10.0, 20.0, 30.0], [11.0, 19.0, 28.0], [12.0, 18.0, 26.0]])
    both = np.stack([counts[::-1] ** 2 + 1, counts])  # a seed's margins are its own
    found = Evidence(
        [panel({("INTO", f"offloading BS-{bs + 1}"): both[..., bs] for bs in range(3)}, PLACES[:3])]
    )
    # 10..12 rises by 2 around 11, 20..18 falls by 2 around 19, 30..26 falls by 4 around 28.
    assert counts_rise(found)[1] == pytest.approx([2 / 11, -2 / 19, -4 / 28])
    assert first_rises_others_fall(found)[1] == pytest.approx([2 / 11, 2 / 19, 4 / 28])
    # The gaps are 10 and 10, 8 and 9, 6 and 8; the mean of all counts is (11 + 19 + 28) / 3.
    assert ordered(found)[1] * (11 + 19 + 28) / 3 == pytest.approx([10, 10, 8, 9, 6, 8])
    # The total goes from 58 to 56 in the last step.
    assert flattens(found)[1] == pytest.approx([FLAT - (1 - 56 / 58)])


def test_a_curve_converges_where_it_stays_within_the_band():
    flat, late = np.full(1500, 100.0), np.concatenate([np.full(500, 50.0), np.full(1000, 100.0)])
    assert converged_at(flat, flat) == 0
    assert (
        500 < converged_at(late, flat) <= 600
    )  # within 2 % once the window of 100 holds less than 4 old slots
    assert converged_at(np.stack([flat, late]), flat).shape == (2,)


def test_a_curve_held_against_the_same_slots_of_another_is_not_moved_by_their_luck():
    luck = np.random.default_rng(1).uniform(0.5, 1.5, 2000)
    luck[:10] = 0.0  # nobody earns before the first energy is there
    assert converged_at(100 * luck, 50 * luck) == 10


def test_luck_of_its_own_moves_no_curve_that_is_level():
    own = np.random.default_rng(2).uniform(0.0, 2.0, (20, 2000))
    assert (converged_at(own, np.ones(2000)) < 200).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_agents_that_never_learn_do_not_converge_late(preset):
    """By the stored runs: the rule was made so (ASSUMPTIONS.md)."""
    watched = results("unlearnt", preset=preset)
    (against,) = curves(watched, "all-on").values()
    late = [
        slot
        for agent in ("OLNPO", "untrained", "thrifty")
        for incomes in curves(watched, agent).values()
        for slot in converged_at(incomes, against)
        if slot > 200
    ]
    assert late == []


def incomes(**levels: np.ndarray) -> pd.DataFrame:
    return panel({(agent, "income"): of_seeds for agent, of_seeds in levels.items()})


@pytest.mark.parametrize(
    ("claim", "good", "bad"), [("C11", FALL, RISE)] + [(f"C{n}", RISE, FALL) for n in (12, 13, 14)]
)
def test_every_algorithm_s_income_moves_as_the_paper_says(stored, claim, good, bad):
    others = dict.fromkeys(("INTO", "LPWPO", "OLNPO"), around(good))
    for of_ddqn, expected in (
        (around(good), "reproduced"),
        (around(bad), "not reproduced"),
        (np.array([RISE, FALL, STEADY]), "inconclusive"),
    ):
        stored(incomes(**others, DDQN=of_ddqn))
        assert claims.rule_on(claim).verdict == expected


TEN = around([10.0] * 4, 0.01)


def behind(lead: float | np.ndarray) -> pd.DataFrame:
    """INTO earns so much more than DDQN, and 1 more than the baselines."""
    return incomes(INTO=TEN, DDQN=TEN - lead, LPWPO=TEN - 1.0, OLNPO=TEN - 1.0)


def idle(alone: float | np.ndarray) -> pd.DataFrame:
    """Shares of idle CPU, without peers and with INTO, where it is about 0.1."""
    shares = {"INTO": around([0.1] * 4, 0.001), "OLNPO": alone + 0.001 * np.arange(12.0).reshape(4, 3).T}
    return panel({(agent, f"idle CPU BS-{bs}"): share for agent, share in shares.items() for bs in (1, 2, 3)})


def change(devices: float, income: float | np.ndarray) -> pd.DataFrame:
    """Devices of BS-1, 10 before a change and as given after it; income as given, 10 by training on before it."""
    labels = (BEFORE, AFTER, TRAINED, CONTROL)
    scatter = np.array([0.0, 0.02, 0.05])
    found = {
        "offloading BS-1": [10.0, devices, 99.0, 99.0],
        "income": [8.0, 99.0, income, 10.0],
    }
    found = {
        metric: np.stack([value + scatter for value in values], axis=1) for metric, values in found.items()
    }
    return panel({("INTO", metric): values for metric, values in found.items()}, labels)


UNCLEAR = np.array([[10.0, 10.0, 10.0, 9.0], [9.0, 9.0, 9.0, 9.5], [9.0, 9.0, 9.0, 8.0]])


@pytest.mark.parametrize(
    ("claim", "table", "expected"),
    [
        ("C1", three_rates((FALLING[1], FALLING[0], FALLING[2])), "not reproduced"),  # one gap of two
        ("C2a", three_rates(FALLING, (1500, 1000, 600)), "reproduced"),
        ("C2a", three_rates(FALLING, (600, 1000, 1500)), "not reproduced"),
        (
            "C2a",
            three_rates(FALLING, (1300, [690, 700, 715], 700)),
            "no difference that matters",
        ),  # as late as each other
        ("C2a", three_rates(FALLING, ([1500, 900, 300], [300, 1500, 900], 200)), "inconclusive"),
        ("C2b", three_rates(FALLING, (1500, 1000, 600)), "reproduced"),
        ("C2b", three_rates(FALLING, (1500, 1250, 600)), "not reproduced"),
        ("C2b", three_rates(FALLING, (1200, 1000, 600)), "not reproduced"),
        ("C2b", three_rates(FALLING, ([1500, 1600, 1900], 1000, 600)), "inconclusive"),
        ("C15", behind(2.0), "reproduced"),
        ("C15", behind(np.array([2.0, 2.0, -0.5, 2.0])), "not reproduced"),
        ("C15", behind(np.array([[2.0], [-2.0], [1.0]])), "inconclusive"),
        ("C16", idle(0.2), "reproduced"),
        ("C16", idle(0.05), "not reproduced"),
        ("C16", idle(np.array([[0.0], [0.3], [0.05]])), "inconclusive"),
        ("C17", incomes(INTO=TEN, DDQN=around([10.0, 9.5, 9.0, 8.5])), "reproduced"),
        ("C17", incomes(INTO=TEN, DDQN=around([10.0, 9.9, 9.8, 10.5])), "not reproduced"),
        ("C17", incomes(INTO=TEN, DDQN=around([9.0, 9.0, 9.0, 9.3], 0.01)), "not reproduced"),  # catches up
        ("C17", incomes(INTO=TEN, DDQN=UNCLEAR), "inconclusive"),
        ("C19a", change(14.0, 12.0), "reproduced"),
        ("C19a", change(9.0, 12.0), "not reproduced"),
        ("C19a", change(np.array([9.0, 12.0, 10.5]), 12.0), "inconclusive"),
        ("C19b", change(14.0, 12.0), "reproduced"),
        ("C19b", change(14.0, 9.5), "not reproduced"),
        ("C19b", change(14.0, np.array([9.0, 12.0, 10.5])), "inconclusive"),
        ("C19b", change(14.0, np.array([9.999, 10.0, 10.002])), "no difference that matters"),
    ],
)
def test_a_rule_comes_out_each_way(stored, claim, table, expected):
    stored(table)
    assert claims.rule_on(claim).verdict == expected


def test_the_effect_of_c15_is_the_smallest_lead(stored):
    stored(behind(2.0))
    assert claims.rule_on("C15").effect == pytest.approx(np.mean(TEN[:, 0] / (TEN[:, 0] - 1.0)) - 1.0)


def test_the_readme_s_first_screen_says_what_the_runs_say():
    """What the claims themselves do not tell: how far behind all-on INTO is, its lead, and the shares of the bounds."""
    told = (ROOT / "README.md").read_text(encoding="utf-8")

    def income(agent, preset, seed):
        run = Run(agent=agent, preset=preset, seed=seed, slots=2000 if agent == "INTO" else 0)
        table = read_table(path_of(run, PROFILES["paper"].folder))
        return table.query("metric == 'income' and slot == -1")["value"].item()

    shares = {}
    for preset in PRESETS:
        ratio = [income("INTO", preset, seed) / income("all-on", preset, seed) for seed in range(20)]
        mean, low, high, _ = (100 * (1 - share) for share in interval(ratio))
        assert f"{mean:.1f} % [{high:.1f}, {low:.1f}] less under `{preset}`" in " ".join(told.split())
        found = Evidence([results(panel, preset=preset) for panel in FIGURES["fig6"]])
        ahead = np.nanmean(margins.excess(found).reshape(-1, 28, 3)[..., :2], axis=0)  # of LPWPO and OLNPO
        most, least = f"{100 * ahead.max():.0f}", f"{-100 * ahead.max():.0f} to {-100 * ahead.min():.0f}"
        words = {
            "calibrated": f"at most {most} % under `calibrated`",
            "printed": f"{least} % behind under `printed`",
        }
        assert words[preset] in " ".join(told.split())
        shares[preset] = {one.agent: one.ratio for one in standings(preset) if one.bound == LONG_RUN_BOUND}
    copied = income_effects(results("assumptions")).query("assumption == 'A35'").iloc[0]
    mean, low, high = (f"{100 * copied[name]:.0f}" for name in ("mean", "low", "high"))
    assert f"DDQN earns {mean} % [{low}, {high}] more" in told
    earns = {
        "thrifty": "earns {} and {} % of",
        "INTO": "INTO earns {} and {} %",
        "planner": "it earns {} and {} %",
    }
    for agent, words in earns.items():
        assert words.format(*(f"{100 * shares[preset][agent]:.0f}" for preset in PRESETS)) in told


def test_each_part_is_judged_by_the_seeds_that_it_has(monkeypatch):
    apart = {"fig6a": behind(2.0), "fig6b": behind(np.array([2.0, 2.0, -0.5, 2.0]))}
    apart["fig6a"] = apart["fig6a"].query("seed > 0")
    monkeypatch.setattr(claims, "results", lambda name, preset: apart.get(name, apart["fig6a"]))
    whole = claims.rule_on("C15")
    assert (whole.verdict, whole.seeds) == ("not reproduced", 3)
    apart["fig6b"] = apart["fig6a"]
    assert claims.rule_on("C15").seeds == 2


def test_there_is_a_rule_for_each_of_the_twenty_claims_of_which_two_have_two_parts():
    parts = {2: ("C2a", "C2b"), 19: ("C19a", "C19b")}
    expected = [name for number in range(1, 21) for name in parts.get(number, (f"C{number}",))]
    assert list(claims.CLAIMS) == expected


def test_what_the_calibration_chose_is_marked_under_its_preset_alone():
    chosen = {name for name, claim in claims.CLAIMS.items() if claim.mark("calibrated")}
    assert chosen == {f"C{number}" for number in range(4, 11)}
    assert not any(claim.mark("printed") for claim in claims.CLAIMS.values())


def test_the_readme_says_what_the_runs_say():
    assert claims.claims_table() in (ROOT / "README.md").read_text(encoding="utf-8")
