"""Many trainings at once: each member of a stack goes the way that it goes alone, but for rounding."""

import copy
import json
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from stored import put_run
from test_learners import SMALL, WORLD, small
from typer.testing import CliRunner
from worlds import random_state

from mecsim.agents import make_agent
from mecsim.agents.learner import Learner
from mecsim.experiments import checks, lockstep, parallel
from mecsim.experiments.checkpoints import resume, save_checkpoint
from mecsim.experiments.claims import OF_INCOME
from mecsim.experiments.cli import app
from mecsim.experiments.elsewhere import listed
from mecsim.experiments.lockstep import Task, compute_stack, divided, fitting, grouped, member_bytes, stacks
from mecsim.experiments.margins import READINGS, converged_income
from mecsim.experiments.panels import PROFILES, RunStore, runs_of
from mecsim.experiments.results import results
from mecsim.experiments.runs import Run, Together, measure, measure_many, path_of
from mecsim.experiments.store import CHECKOUT, read_meta
from mecsim.scenario import Scenario, ScenarioStack
from mecsim.settings import SettingError
from mecsim.system import PhysicalSystem
from mecsim.training import rollout, train
from mecsim.twin import Deviation, DigitalTwin

BOTH = pytest.mark.parametrize("name", ["INTO", "DDQN"])
SEEDS = [3, 1, 4]
SCENARIOS = [
    WORLD,
    WORLD.replace(award_scale=(3.0, 1.0), link_bps=1e6, size_bits=7e4, interference=1.0),
    WORLD.replace(cpu_hz=(4e9, 1e9), bandwidth_hz=2e6, tau_s=12.0, award=2.0, mean_gain=0.2),
]
NOISY = Deviation(gain_noise=0.2, update_every=3, outdated={"cpu_hz": 4e9})


def differing(name: str) -> list:
    """Settings of three members, two of which learn at the same rates, from rewards that are retold."""
    other = {"stored_action": "chosen"} if name == "DDQN" else {}
    rates = ("learning_rate",) if name == "DDQN" else ("actor_learning_rate", "critic_learning_rate", "noise")
    return [
        SMALL[name].replace(
            target_every=2,
            sampling="without replacement",
            gamma=gamma,
            reward_slope=slope,
            reward_offset=slope - 1,
            **other,
            **dict.fromkeys(rates, rate),
        )
        for gamma, rate, slope in ((0.9, 0.001, 1.0), (0.5, 0.02, 0.5), (0.0, 0.02, 2.0))
    ]


def trained(learner: Learner, twin: DigitalTwin, slots: int = 100) -> np.ndarray:
    return train(learner, twin, slots, progress=False)


def tensors(learner: Learner) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in learner.tensors().items()}


@BOTH
@pytest.mark.parametrize("differ", ["seeds", "scenarios and settings, in noisy twins"])
def test_members_are_trained_as_they_are_alone(name, differ) -> None:
    alike = differ == "seeds"
    scenarios, deviation = ([WORLD] * 3, None) if alike else (SCENARIOS, NOISY)
    settings = [SMALL[name]] * 3 if alike else differing(name)
    together, known = (WORLD, SMALL[name]) if alike else (scenarios, settings)
    stack = make_agent(name, together, SEEDS, settings=known)
    incomes = trained(stack, DigitalTwin(together, SEEDS, deviation))
    plant = PhysicalSystem(together, [seed + 100 for seed in SEEDS])
    frozen = rollout(stack, plant, 20).income
    for number, seed in enumerate(SEEDS):
        alone = make_agent(name, scenarios[number], seed, settings=settings[number])
        mine = trained(alone, DigitalTwin(scenarios[number], seed, deviation))
        assert incomes[:, number] == pytest.approx(mine, rel=1e-6)
        assert mine.std() > 0
        member = stack.member(number)
        assert member.position() == alone.position()
        for part, value in tensors(alone).items():
            tolerance = 1e-4 * max(1.0, float(np.abs(value).max()))
            assert tensors(member)[part] == pytest.approx(value, abs=tolerance), part
        own = rollout(alone, PhysicalSystem(scenarios[number], seed + 100), 20).income
        assert frozen[:, number] == pytest.approx(own, rel=1e-6)


@BOTH
def test_a_resumed_or_copied_stack_has_the_bits_of_one_that_was_not_stopped(name, tmp_path) -> None:
    def start() -> tuple[Learner, DigitalTwin]:
        return make_agent(name, SCENARIOS, SEEDS, settings=differing(name)), DigitalTwin(SCENARIOS, SEEDS)

    whole, twin = start()
    incomes = trained(whole, twin, 40)
    learner, twin = start()
    done = list(trained(learner, twin, 25))
    save_checkpoint(tmp_path / "one", learner, twin, done, "key")
    copies = [copy.deepcopy((learner, twin)), pickle.loads(pickle.dumps((learner, twin)))]
    fresh = start()
    done = resume(tmp_path / "one", *fresh, "key")
    for one, its_twin in (fresh, *copies):
        assert train(one, its_twin, 40, list(done), progress=False).tobytes() == incomes.tobytes()
        assert all(value.tobytes() == tensors(whole)[part].tobytes() for part, value in tensors(one).items())


@BOTH
def test_a_member_goes_on_alone(name) -> None:
    stack, alone, twin = (
        make_agent(name, WORLD, SEEDS, settings=SMALL[name]),
        small(name, 1),
        DigitalTwin(WORLD, 1),
    )
    trained(stack, DigitalTwin(WORLD, SEEDS), 30)
    trained(alone, twin, 30)
    member, its_twin = stack.member(1), copy.deepcopy(twin)
    assert trained(member, its_twin, 20) == pytest.approx(trained(alone, twin, 20), rel=1e-6)


@BOTH
def test_a_member_that_diverges_is_set_aside_and_named_and_the_others_keep_their_bits(name, tmp_path) -> None:
    def stack() -> Learner:
        return make_agent(name, WORLD, SEEDS, settings=SMALL[name])

    sick, well = stack(), stack()
    expected = trained(well, DigitalTwin(WORLD, SEEDS), 30)
    twin = DigitalTwin(WORLD, SEEDS)
    done = list(trained(sick, twin, 12))
    for network in sick.networks.values():
        with torch.no_grad():
            next(network.parameters())[1, 0, 0] = np.nan
    incomes = train(sick, twin, 30, done, progress=False)
    assert sick.diverged == {1: 12}
    assert np.isnan(incomes[12:, 1]).all()
    assert incomes[:, [0, 2]].tobytes() == expected[:, [0, 2]].tobytes()
    assert all(
        value[[0, 2]].tobytes() == tensors(well)[part][[0, 2]].tobytes()
        for part, value in tensors(sick).items()
        if value.ndim
    )
    save_checkpoint(tmp_path / "one", sick, twin, list(incomes), "key")
    resume(tmp_path / "one", fresh := stack(), twin, "key")
    assert fresh.diverged == {1: 12}


def test_what_does_not_go_together_is_refused() -> None:
    pair, twin = make_agent("INTO", WORLD, [0, 1], settings=SMALL["INTO"]), DigitalTwin(WORLD, [0, 1, 2])
    for call, message in (
        (lambda: trained(pair, twin), "agent of 2 members is not allowed: .* each of the 3 worlds"),
        (lambda: trained(pair, DigitalTwin(WORLD)), "agent of 2 members is not allowed"),
        (lambda: trained(small("INTO"), twin), "twin of 3 worlds is not allowed"),
        (
            lambda: pair.act(random_state(WORLD, 0)),
            r"state of worlds \(\) is not allowed: it should be \(2,\)",
        ),
        (lambda: make_agent("INTO", WORLD, []), r"seed = \[\] is not allowed"),
        (
            lambda: make_agent("INTO", WORLD, [0, 1], settings=[{}] * 3),
            "settings of 3 members are not allowed",
        ),
        (lambda: make_agent("INTO", WORLD, 0, settings=[]), r"settings = \[\] is not allowed"),
        (
            lambda: make_agent("INTO", WORLD, 0, settings=[{}, {"batch_size": 3}]),
            "batch_size = 64, 3 is not allowed: members of a stack should differ in .*gamma.* alone",
        ),
        (lambda: make_agent("INTO", [WORLD, Scenario()]), "devices = .* is not allowed"),
    ):
        with pytest.raises(SettingError, match=message):
            call()
    assert make_agent("DDQN", ScenarioStack([WORLD] * 2), settings=SMALL["DDQN"]).worlds == (2,)


DEVICES = {"devices": (3, 2), "initial_energy_j": 0.05}
HIDDEN = {"actor_hidden": (16, 8), "critic_hidden": (16, 8), "batch_size": 8}


def small_run(seed: int = 0, **changes: object) -> Run:
    usual = {"agent": "INTO", "slots": 40, "evaluation_slots": 60, "changes": DEVICES, "settings": HIDDEN}
    return Run(**{**usual, "seed": seed, **changes})


STACKS = {
    "seeds and rates": [
        small_run(),
        small_run(1),
        small_run(1, settings={**HIDDEN, "actor_learning_rate": 0.01}),
    ],
    "a shift, two presets": [
        small_run(2, shift={"award_scale": (3.0, 1.0)}, shift_at=20),
        small_run(2, shift={"gain_scale": 0.4}, shift_at=20, preset="printed", changes={"devices": (3, 2)}),
    ],
    "a noisy twin": [
        small_run(
            seed, agent="DDQN", settings={"hidden": (16, 8), "batch_size": 8}, deviation={"gain_noise": 0.2}
        )
        for seed in (0, 1)
    ],
    "exploring on the twin's devices": [
        small_run(seed, evaluation={"devices": "the twin's", "exploring": True}) for seed in (0, 1)
    ],
}


def test_a_training_that_diverges_is_named_and_not_stored(monkeypatch, tmp_path) -> None:
    wild = {**HIDDEN, "actor_learning_rate": 1e30, "critic_learning_rate": 1e30}
    runs, folder = [small_run(), small_run(1, settings=wild)], tmp_path / "runs"
    monkeypatch.setitem(PROFILES, "paper", replace(PROFILES["paper"], folder=folder))
    monkeypatch.setattr(parallel, "run_tasks", lambda work, tasks, *_: list(map(work, tasks)))
    (tmp_path / "todo").write_text(listed(runs))
    done = CliRunner().invoke(app, ["compute", str(tmp_path / "todo"), "--at-once", "2", "--workers", "1"])
    assert (done.exit_code, f"as they diverged: {runs[1].key}." in done.output) == (1, True)
    assert [path_of(run, folder).exists() for run in runs] == [True, False]


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_a_stack_of_runs_gives_the_table_of_each(stack) -> None:
    assert len(grouped(stack)) == 1
    found = measure_many(stack)
    assert found.diverged == {}
    for number, run in enumerate(stack):
        expected = measure(run)
        values, found_values = expected.pop("value"), found.tables[number].pop("value")
        assert found.tables[number].equals(expected)
        assert found_values.to_numpy() == pytest.approx(values.to_numpy(), rel=1e-5)
    assert {"training income", "income"} <= set(expected["metric"])


def test_runs_come_in_stacks_by_what_these_must_share_the_first_first_and_equal_rates_as_neighbours() -> None:
    into = [
        run for run in runs_of(["fig3a", "fig3b", "fig6a", "change"], "paper", seeds=3) if run.agent == "INTO"
    ]
    assert sorted(map(len, grouped(into))) == [3, 3, 3, 3, 33]  # those of "change" part in slots and shift
    found = stacks(into, "cpu", 12, 1)
    assert sorted(run.key for stack in found for run in stack) == sorted(run.key for run in into)
    places = [min(into.index(run) for run in stack) for stack in found]
    assert places == sorted(places)
    assert [run.seed for run in found[0]] == [0] * 11
    rates = [run.settings.get("actor_learning_rate") for run in found[0]]
    assert len([1 for one, other in pairwise(rates) if one != other]) == 2
    alike = small_run()
    for other in (
        {"agent": "DDQN", "settings": {}},
        {"slots": 41},
        {"changes": {"devices": (2, 3)}},
        {"changes": {**DEVICES, "fading": "ar1"}},
        {"settings": {**HIDDEN, "batch_size": 9}},
        {"deviation": {"gain_noise": 0.1}},
        {"evaluation": {"exploring": True}},
        {"refinement": {"cpu": "actor"}},
    ):
        assert len(grouped([alike, small_run(1, **other)])) == 2, other


@pytest.mark.parametrize(
    ("runs", "most", "side_by_side", "sizes"),
    [
        (20, 60, 4, [20]),
        (100, 60, 4, [25] * 4),
        (100, 30, 2, [25] * 4),
        (7, 3, 9, [2, 2, 3]),
        (40, 60, 9, [20, 20]),
    ],
)
def test_stacks_are_of_one_size_and_as_many_as_work_side_by_side(runs, most, side_by_side, sizes) -> None:
    group = [small_run(seed) for seed in range(runs)]
    found = divided(group, most, side_by_side)
    assert list(map(len, found)) == sizes
    assert [run for stack in found for run in stack] == group


def test_a_gpu_s_memory_is_filled_and_not_overrun(monkeypatch) -> None:
    monkeypatch.setattr("mecsim.agents.learner.torch_device", torch.device)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80e9, 85e9))
    run = small_run()
    counts = [fitting(run, "cuda", processes) for processes in (1, 4)]
    for count, processes in zip(counts, (1, 4), strict=True):
        assert 0.85 * 80e9 < processes * (count * member_bytes(run) + lockstep.CONTEXT_BYTES) <= 0.9 * 80e9
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2e9, 85e9))
    with pytest.raises(SettingError, match=r"device = 'cuda' has 2\.0 GB free, too little for workers = 4"):
        fitting(run, "cuda", 4)
    with pytest.raises(SettingError, match="at_once is missing: it should be given where device = 'cpu'"):
        fitting(run, "cpu", 4)


def test_where_memory_runs_out_a_stack_is_measured_in_halves_without_what_is_stored(
    tmp_path, monkeypatch
) -> None:
    stack, asked = [small_run(seed, slots=1, evaluation_slots=1) for seed in range(6)], []
    before = put_run(stack[1], tmp_path).read_bytes()

    def measure_two(runs: list[Run], device: str) -> Together:
        asked.append([run.seed for run in runs])
        if len(runs) > 2:
            raise torch.OutOfMemoryError
        return measure_many(runs, device)

    monkeypatch.setattr(lockstep, "measure_many", measure_two)
    compute_stack(Task(RunStore(tmp_path), stack, "cpu"))
    assert asked == [[0, 2, 3, 4, 5], [0, 2], [3, 4, 5], [3], [4, 5]]
    assert path_of(stack[1], tmp_path).read_bytes() == before
    assert [read_meta(path_of(run, tmp_path)).get("computed_on", {}).get("at_once") for run in stack] == [
        2, None, 2, 1, 2, 2,
    ]  # fmt: skip


def test_a_run_that_diverges_is_named_and_not_stored_and_the_others_are(
    tmp_path, monkeypatch, capsys
) -> None:
    stack = [small_run(seed, slots=1, evaluation_slots=1) for seed in range(3)]

    def measure_with_a_loss(runs: list[Run], device: str) -> Together:
        tables = measure_many(runs, device).tables
        return Together({number: tables[number] for number in (0, 2)}, {1: 7})

    monkeypatch.setattr(lockstep, "measure_many", measure_with_a_loss)
    compute_stack(Task(RunStore(tmp_path), stack, "cpu"))
    assert capsys.readouterr().err == f"{stack[1].key} diverged in slot 7 and is set aside.\n"
    assert [path_of(run, tmp_path).exists() for run in stack] == [True, False, True]


def test_the_command_computes_stacks_says_where_and_never_asks_their_bits(tmp_path, monkeypatch) -> None:
    hidden = {"actor_hidden": (4,), "critic_hidden": (4,)}
    scale = replace(
        PROFILES["quick"], slots=70, evaluation_slots=2, folder=tmp_path / "runs", settings={"INTO": hidden}
    )
    monkeypatch.setitem(PROFILES, "quick", scale)
    command = ["run", "fig3b", "--seeds", "2", "--workers", "1", "--at-once", "4"]
    assert CliRunner().invoke(app, command).output.splitlines()[-1] == "6 runs are stored."
    manifest = json.loads((scale.folder / "_manifest.json").read_text())
    assert [entry["computed_on"]["at_once"] for entry in manifest.values()] == [3] * 6
    assert {entry["computed_on"]["device"] for entry in manifest.values()} == {"cpu"}
    assert all(entry["computed_on"]["model"] for entry in manifest.values())
    store = RunStore(scale.folder)
    assert store.stale() == {}
    alone = put_run(Run(agent="OLNPO", slots=0, evaluation_slots=1), scale.folder)
    store.write_manifest()
    monkeypatch.setattr(checks, "stores", lambda: [store, store])
    assert [one.store.path(one.job) for one in checks.sample(30)] == [alone]
    assert checks.irreproducible() == 12
    stale = {name: {**entry, "numerics": 1} for name, entry in manifest.items()}
    Path(scale.folder / "_manifest.json").write_text(json.dumps(stale))
    held, failed = checks.restamp([store])
    assert held == []
    assert len([why for why in failed if "was computed on a GPU or with others at once" in why]) == 6


def test_what_is_trained_on_a_gpu_is_of_the_distribution_of_what_is_trained_on_a_cpu() -> None:
    """By the stored runs: 20 seeds of INTO at the defaults on each, the same seeds on neither."""
    table = results("processors")
    devices = {
        run.seed: read_meta(path_of(run, PROFILES["paper"].folder)).get("computed_on", {}).get("device")
        for run in runs_of(["processors"], "paper")
    }
    assert devices == {seed: None if seed < 20 else "cuda" for seed in range(40)}
    assert CHECKOUT
    told = (CHECKOUT / "CLUSTER.md").read_text(encoding="utf-8")
    for reading in READINGS:
        (incomes,) = converged_income(table, reading).values()
        cpu, gpu = incomes[:20], incomes[20:]
        welch = stats.ttest_ind(gpu, cpu, equal_var=False).confidence_interval(0.95)
        low, high, mean = (difference / cpu.mean() for difference in (*welch, gpu.mean() - cpu.mean()))
        p = stats.ks_2samp(gpu, cpu).pvalue
        assert low < 0 < high
        assert abs(mean) < OF_INCOME
        assert p > 0.05
        assert f"{mean:+.2%} [{low:+.2%}, {high:+.2%}], p = {p:.2f}" in told
