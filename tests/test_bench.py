"""`mecsim bench`: peers in turn, what is counted, and the report. No test looks at how long anything took."""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peers import Chat, Counter, Diary, Hoard, Meeting, Trouble, sleeper, threads_allowed
from processes import is_alive
from torch import nn
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from benchmarks import measures, memory, products, sb3, turns, workers
from benchmarks.flops import into_slot_flops
from benchmarks.measures import MEASURES, Measure, chosen
from benchmarks.report import as_data, as_text, cpu_model, machine
from benchmarks.result import Result
from benchmarks.training import TABLE_II, IntoSlots, Load
from benchmarks.turns import Peer, PeerDied, in_turn, together
from mecsim import cli
from mecsim.experiments.checkpoints import resume
from mecsim.experiments.parallel import THREAD_VARIABLES
from mecsim.experiments.runs import Run
from mecsim.settings import SettingError
from mecsim.twin import DigitalTwin

SMALL = {"actor_hidden": (9, 7), "critic_hidden": (8, 6), "batch_size": 4, "replay_size": 20}
TINY = Load(Run(agent="INTO", changes={"devices": (3, 4, 5)}, settings=SMALL), warm_up=6, chunk=3)


# Turns. -----------------------------------------------------------------------------------------------------------


def test_a_peer_is_set_up_once_in_a_process_of_its_own_that_ends_with_it() -> None:
    with Peer("counter", Counter, 10, threads=1) as peer:
        (first, pid), (second, same) = peer.ask(1), peer.ask(2)
    assert (first, second) == (11, 13)
    assert pid == same != os.getpid()
    assert not is_alive(pid)


def test_a_peer_has_the_threads_it_is_given(monkeypatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    with Peer("threads", threads_allowed, threads=2) as peer:
        assert peer.ask() == (["2"] * len(THREAD_VARIABLES), 2)
    assert [os.environ[name] for name in THREAD_VARIABLES] == ["1"] * len(THREAD_VARIABLES)


def test_what_a_peer_prints_stays_out_of_the_report(capfd) -> None:
    with Peer("chat", Chat, threads=1) as peer:
        peer.ask()
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "set up" in shown.err
    assert "at work" in shown.err


def test_a_peer_that_is_killed_gives_one_sentence_each_time_it_is_asked() -> None:
    sentence = "INTO: its process was ended by SIGKILL before it answered; is there enough free memory?"
    with Peer("INTO", Trouble, threads=1) as peer:
        for _ in range(2):
            with pytest.raises(PeerDied) as raised:
                peer.ask("killed")
            assert str(raised.value) == sentence


def test_a_peer_that_ends_while_it_is_set_up_gives_one_sentence() -> None:
    with (
        Peer("INTO", Trouble, "exit", threads=1) as peer,
        pytest.raises(PeerDied, match="INTO: its process was ended with exit code 3"),
    ):
        peer.wait()


@pytest.mark.parametrize("at_set_up", [True, False])
def test_an_error_in_a_peer_is_raised_here_and_says_where_it_was(at_set_up) -> None:
    setting = ("peers",) if at_set_up else ()
    with (
        Peer("INTO", Trouble, *setting, threads=1) as peer,
        pytest.raises(SettingError, match="peers = 'none' is not allowed") as raised,
    ):
        peer.ask("peers")
    assert "in __call__" in "".join(raised.value.__notes__)
    assert ("in __init__" in "".join(raised.value.__notes__)) == at_set_up


def test_a_peer_at_work_is_ended_too(monkeypatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.1)
    with Peer("sleeper", sleeper, threads=1) as peer:
        peer.begin()
        pid = peer._process.pid
    assert not is_alive(pid)


def test_peers_take_turns_once_all_are_set_up(tmp_path) -> None:
    with Peer("a", Diary, "a", tmp_path, threads=1) as a, Peer("b", Diary, "b", tmp_path, threads=1) as b:
        assert list(in_turn([a, b], 2)) == [["a", "b"], ["a", "b"]]
    lines = (tmp_path / "diary").read_text().splitlines()
    assert sorted(lines[:2]) == ["a ready", "b ready"]
    assert lines[2:] == ["a start", "a end", "b start", "b end"] * 2


def test_peers_together_work_at_the_same_time(tmp_path) -> None:
    with (
        Peer("a", Meeting, "a", "b", tmp_path, threads=1) as a,
        Peer("b", Meeting, "b", "a", tmp_path, threads=1) as b,
    ):
        assert together([a, b]) == [True, True]


# What is counted. -------------------------------------------------------------------------------------------------


def test_the_flops_of_a_slot_by_hand() -> None:
    # State 2, action 3; the actor 2-5-3 has 10 + 15 products, the critic 5-4-1 has 20 + 4, its action's share is 12.
    target = 25 + 24
    critic_step = 24 + 24 + 4
    actor_step = 25 + 24 + (4 + 12) + (25 + 15)
    assert (
        into_slot_flops((2, 5, 3), (5, 4, 1), batch=10) == 20 * (target + critic_step + actor_step) + 2 * 25
    )


class SplitCritic(nn.Module):
    """A critic whose first layer is split, so that a gradient towards the action leaves the state's share out."""

    def __init__(self, states: int, actions: int, hidden: list[int]) -> None:
        super().__init__()
        self.of_state = nn.Linear(states, hidden[0])
        self.of_action = nn.Linear(actions, hidden[0], bias=False)
        self.rest = plain([*hidden, 1])

    def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.rest(torch.relu(self.of_state(state) + self.of_action(action)))


def plain(sizes: list[int]) -> nn.Sequential:
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]


def test_the_flops_of_a_slot_are_those_that_pytorch_counts() -> None:
    states, actions, batch = 11, 7, 5
    actor, target_actor = plain([states, 9, 8, actions]), plain([states, 9, 8, actions])
    critic, target_critic = (SplitCritic(states, actions, [6, 4]) for _ in range(2))
    state, action, after = torch.rand(batch, states), torch.rand(batch, actions), torch.rand(batch, states)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            actor(state[:1])
            value = target_critic(after, target_actor(after))
        (critic(state, action) - value).square().mean().backward()
        critic.requires_grad_(False)
        critic(state, actor(state)).mean().backward()
    expected = into_slot_flops((states, 9, 8, actions), (states + actions, 6, 4, 1), batch)
    assert counter.get_total_flops() == expected


def test_table_2_is_what_is_measured() -> None:
    assert TABLE_II.layers == ((999, 3000, 1000, 1155), (2154, 1500, 600, 1))
    assert TABLE_II.run.preset == "calibrated"
    assert TABLE_II.warm_up > TABLE_II.settings.batch_size == 64
    assert TABLE_II.settings.precision == "float32"


def test_the_layers_are_those_of_the_networks() -> None:
    learner = TINY.run.make_agent()
    for network, sizes in zip((learner.actor, learner.critic), TINY.layers, strict=True):
        shapes = [tuple(weight.shape) for weight in network.parameters() if weight.dim() == 2]
        assert shapes == [(outputs, inputs) for inputs, outputs in pairwise(sizes)]


@pytest.mark.parametrize("product", [products._mm, products._onednn, products._onednn_transposed])
def test_every_yardstick_is_the_product_of_a_layer(product) -> None:
    x, weight = torch.rand(4, 6), torch.rand(3, 6)
    answer = product(x, weight)
    answer = answer if answer.shape == (4, 3) else answer.t()
    assert torch.allclose(answer, linear(x, weight))


def test_the_rate_of_a_product(monkeypatch) -> None:
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(products, "perf_counter", lambda: next(clock))
    calls = []
    rate = products.product_gflops(lambda *pair: calls.append(pair), torch.rand(4, 6), torch.rand(3, 6))
    assert rate == pytest.approx(2 * 4 * 6 * 3 * products.CALLS / 2.0 / 1e9)
    assert len(calls) > products.CALLS


# What is trained. -------------------------------------------------------------------------------------------------


def test_into_trains_slot_by_slot() -> None:
    slots = IntoSlots(TINY)
    learnt = {name: value.clone() for name, value in slots.learner.tensors().items() if "network" in name}
    assert len(slots.incomes) == TINY.warm_up
    slots(3)
    assert len(slots.incomes) == TINY.warm_up + 3 == slots.twin.state.slot
    now = slots.learner.tensors()
    assert all(not torch.equal(value, now[name]) for name, value in learnt.items() if "weight" in name)


def test_stable_baselines3_trains_the_same_networks_as_often() -> None:
    slots = sb3.Sb3Slots(TINY)
    slots(3)
    model, settings = slots.model, TINY.settings
    assert model.num_timesteps == TINY.warm_up + 3
    assert model._n_updates == TINY.warm_up + 3 - settings.batch_size
    assert (model.batch_size, model.buffer_size) == (settings.batch_size, settings.replay_size)
    for network, sizes in ((model.actor.mu, TINY.layers[0]), (model.critic.qf0, TINY.layers[1])):
        shapes = [tuple(weight.shape) for weight in network.parameters() if weight.dim() == 2]
        assert shapes == [(outputs, inputs) for inputs, outputs in pairwise(sizes)]
    assert model.get_env().get_attr("scenario")[0] == TINY.run.scenario()


def test_the_training_whose_memory_counts_is_full_and_saves_a_checkpoint(tmp_path) -> None:
    full, path = memory.FullTraining(TINY), tmp_path / "bench.safetensors"
    assert len(full.into.learner.replay) == TINY.settings.replay_size
    assert full(2, path) > 0
    fresh = TINY.run.make_agent()
    incomes = resume(path, fresh, DigitalTwin(TINY.run.scenario(), 0), "bench")
    assert incomes == full.into.incomes[: TINY.warm_up + 2]
    assert len(full.into.incomes) == TINY.warm_up + 4


def test_the_peak_of_a_process_is_its_own() -> None:
    mine = bytearray(b"x") * 400_000_000
    with Peer("hoard", Hoard, threads=1) as peer:
        _, early = peer.ask(1)
        before, after = peer.ask(300_000_000)
        _, later = peer.ask(1)
    assert early < len(mine)  # what the process that started it once took is not its own
    assert after - before > 200_000_000
    assert later >= after


@pytest.mark.parametrize(("system", "unit"), [("darwin", 1), ("linux", 1024)])
def test_the_peak_where_there_is_no_proc(system, unit, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path / "nothing")
    monkeypatch.setattr(memory.resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=5_000))
    monkeypatch.setattr(sys, "platform", system)
    assert memory.peak_rss_bytes() == 5_000 * unit


# The ratios. ------------------------------------------------------------------------------------------------------


class Told:
    """Stands in for a peer: answers what it was told to, in turn."""

    answers: dict[str, list[Any]]
    threads: dict[str, int]

    def __init__(self, name: str, *_: Any, threads: int) -> None:
        self.left = iter(self.answers[name])
        self.threads[name] = threads

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> None:
        pass

    def begin(self, *_: Any) -> None:
        pass

    def ask(self, *_: Any) -> Any:
        return next(self.left)

    answer = ask


@pytest.fixture
def told(monkeypatch) -> type[Told]:
    """Peers that answer what `told.answers` says."""
    Told.answers, Told.threads = {}, {}
    for module in (sb3, products, workers, memory):
        monkeypatch.setattr(module, "Peer", Told)
    monkeypatch.setattr(turns.os, "cpu_count", lambda: 3)
    return Told


def test_train_vs_sb3_is_our_time_over_theirs(told) -> None:
    told.answers = {"INTO": [0.1, 0.2, 0.3], "Stable-Baselines3": [0.4, 0.4, 0.4]}
    result = sb3.train_vs_sb3(3)
    assert result.repeats == pytest.approx([0.25, 0.5, 0.75])
    assert result.median == pytest.approx(0.5)
    assert (result.low, result.high) == pytest.approx((0.25, 0.75))
    assert result.figures == pytest.approx({"into_slot_ms": 200.0, "sb3_slot_ms": 400.0})
    assert told.threads == {"INTO": 3, "Stable-Baselines3": 3}


def test_gemm_fraction_is_the_slot_over_the_product(told) -> None:
    told.answers = {"INTO": [products.Rates(60.0, 80.0, 120.0), products.Rates(50.0, 100.0, 200.0)]}
    result = products.gemm_fraction(2, TINY)
    assert result.repeats == [0.75, 0.5]
    assert result.figures["onednn_fraction"] == pytest.approx((0.5 + 0.25) / 2)
    assert result.figures["slot_gflop_per_s"] == 55.0
    assert result.figures["slot_gflop"] * 1e9 == into_slot_flops(*TINY.layers, 4)
    told.answers = {"INTO": [products.Rates(60.0, 80.0, 0.0)]}
    assert "onednn_fraction" not in products.gemm_fraction(1, TINY).figures


def test_worker_efficiency_counts_the_slowest(told) -> None:
    told.answers = {"worker 1": [0.9, 1.0, 0.9, 0.9], "worker 2": [0.9, 1.5], "worker 3": [1.2, 0.9]}
    result = workers.worker_efficiency(2)
    assert result.repeats == pytest.approx([0.9 / 1.2, 0.9 / 1.5])
    assert result.figures["workers"] == 3
    assert result.figures["trainings_per_hour"] == pytest.approx(3 * 3600 / (2000 * 1.35))
    assert told.threads == {f"worker {number}": 1 for number in (1, 2, 3)}


def test_train_rss_is_in_gb_of_a_new_process_each(told) -> None:
    told.answers = {"INTO": [750_000_000]}
    assert memory.train_rss_gb(2).repeats == [0.75, 0.75]


# The report. ------------------------------------------------------------------------------------------------------

HERE = {
    "cpu": "A CPU",
    "cores": 2,
    "torch_threads": 2,
    "load_before": 0.1,
    "system": "Linux",
    "versions": {"torch": "2", "numpy": "1"},
}


def measure(key: str, against: str, target: str) -> Measure:
    return Measure(key, against, target, run=lambda repeats: Result([0.5] * repeats))


def test_the_table() -> None:
    measured = [
        (
            measure("speed", "ours over theirs", "at most 0.40"),
            Result([0.5, 0.25, 0.375], {"our_ms": 12.345}),
        ),
        (measure("memory_gb", "GB", "at most 1"), Result([1234.5])),
    ]
    assert as_text(measured, HERE).splitlines() == [
        "measure    median    lowest    highest   target        measured against",
        "speed      0.375     0.25      0.5       at most 0.40  ours over theirs",
        "memory_gb  1.23e+03  1.23e+03  1.23e+03  at most 1     GB",
        "speed: our_ms 12.35",
        "A CPU, 2 cores, 2 threads of torch, load 0.1 before; Linux, torch 2, numpy 1",
    ]


def test_the_data() -> None:
    measured = [
        (measure("speed", "ours over theirs", "at most 0.4"), Result([0.5, 0.2, 0.3], {"our_ms": 12.0}))
    ]
    assert json.loads(json.dumps(as_data(measured, HERE))) == {
        "speed": 0.3,
        "machine": HERE,
        "details": {
            "speed": {
                "repeats": [0.5, 0.2, 0.3],
                "low": 0.2,
                "high": 0.5,
                "against": "ours over theirs",
                "target": "at most 0.4",
                "our_ms": 12.0,
            }
        },
    }


def test_the_machine() -> None:
    here = machine()
    assert here["cpu"]
    assert here["cores"] == os.cpu_count()
    assert here["versions"]["torch"] == torch.__version__
    assert set(here["versions"]) == {"python", "torch", "numpy", "stable-baselines3"}


def test_the_processor(tmp_path, monkeypatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Another\n")
    assert cpu_model(path) == "Some CPU @ 2 GHz"
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert cpu_model(tmp_path / "none") == "arm64"


# The command. -----------------------------------------------------------------------------------------------------


def run(*words: str) -> Any:
    return CliRunner().invoke(cli.app, ["bench", *words])


def refused(monkeypatch, capsys, *words: str) -> str:
    """The sentence with which the command stops, by its way out of a shell."""
    monkeypatch.setattr(sys, "argv", ["mecsim", "bench", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.strip()


def never(monkeypatch) -> None:
    """Nothing may be measured."""
    forbidden = [replace(one, run=lambda _: pytest.fail("measured")) for one in MEASURES]
    monkeypatch.setattr(measures, "MEASURES", tuple(forbidden))


def test_every_measure_in_processes_of_its_own_as_json(monkeypatch, capfd) -> None:
    small = [replace(one, run=partial(one.run, load=TINY)) for one in MEASURES if one.run.__module__ in OURS]
    monkeypatch.setattr(measures, "MEASURES", tuple(small))
    monkeypatch.setattr(turns.os, "cpu_count", lambda: 1)  # tiny networks: threads only wait for each other
    done = run("--json", "--repeats", "1")
    assert done.exit_code == 0, done.exception
    data = json.loads(done.stdout)
    assert capfd.readouterr().out == ""  # nor did a peer write to standard output
    assert list(data) == [*(one.key for one in small), "machine", "details"]
    for one in small:
        assert data[one.key] > 0
        assert data["details"][one.key]["repeats"] == [data[one.key]]
        assert f"Measuring {one.key} 1 times" in done.stderr
    assert data["train_rss_gb"] < 4


OURS = {module.__name__ for module in (sb3, products, workers, memory)}


def test_the_table_of_the_measures_that_are_chosen(monkeypatch) -> None:
    stand_ins = [measure(key, "one over other", "at least 0.1") for key in ("first", "second", "third")]
    monkeypatch.setattr(measures, "MEASURES", tuple(stand_ins))
    done = run("--only", "third", "--only", "first", "--repeats", "2")
    assert done.exit_code == 0
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:3]] == [
        ["first", "0.5", "0.5", "0.5"],
        ["third", "0.5", "0.5", "0.5"],
    ]
    assert "second" not in done.output


def test_a_key_that_is_not_known(monkeypatch, capsys) -> None:
    never(monkeypatch)
    sentence = refused(monkeypatch, capsys, "--only", "train_vs_sb3", "--only", "speed")
    assert sentence.startswith(
        "only = 'speed' is not allowed: it should be one of train_vs_sb3, gemm_fraction"
    )


def test_without_stable_baselines3_nothing_is_measured(monkeypatch, capsys) -> None:
    never(monkeypatch)
    monkeypatch.setattr(measures, "find_spec", lambda name: None)
    sentence = refused(monkeypatch, capsys)
    assert sentence == "train_vs_sb3 needs stable-baselines3: install it by `pip install -e '.[bench]'`."
    assert [one.key for one in chosen(["gemm_fraction"])] == ["gemm_fraction"]


def test_fewer_than_one_repeat(monkeypatch) -> None:
    never(monkeypatch)
    assert run("--repeats", "0").exit_code == 2


def test_a_peer_that_dies_ends_the_command_with_one_sentence(monkeypatch) -> None:
    def die(_: int) -> Result:
        with Peer("INTO", Trouble, "exit", threads=1) as peer:
            return Result([peer.ask()])

    monkeypatch.setattr(measures, "MEASURES", (replace(MEASURES[0], run=die, needs=""),))
    done = run("--json")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[1:] == [
        "INTO: its process was ended with exit code 3 before it answered; is there enough free memory?"
    ]
