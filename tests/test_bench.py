"""`mecsim bench`: peers in turn, what is counted, and the report. No test looks at how long anything took."""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch
from peers import Counter, Hoard, Trouble
from processes import is_alive
from torch import nn
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner
from worlds import TINY as SYSTEM

from benchmarks import peers, ratios, report
from benchmarks.peers import Peer, PeerDied, in_turn, together
from benchmarks.ratios import MEASURES, Measure, Result
from benchmarks.report import as_data, as_text, chosen, cpu_model
from mecsim.experiments import cli, store
from mecsim.experiments.checkpoints import resume
from mecsim.experiments.parallel import THREAD_VARIABLES
from mecsim.experiments.runs import Run
from mecsim.mdp import Encoder
from mecsim.settings import SettingError
from mecsim.system import Action
from mecsim.twin import DigitalTwin

BATCH, REPLAY, CHUNK = 4, 20, 6
SETTINGS = {"actor_hidden": (9, 7), "critic_hidden": (8, 6), "batch_size": BATCH, "replay_size": REPLAY}
TINY = Run(agent="INTO", changes={"devices": (3, 4, 5)}, settings=SETTINGS)


# Peers. -----------------------------------------------------------------------------------------------------------


def test_a_peer_is_set_up_once_in_a_process_of_its_own_that_ends_with_it(monkeypatch, capfd) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    with Peer("counter", Counter, 10, threads=2) as peer:
        (first, pid), (second, same) = peer.ask(1), peer.ask(2)
    assert (first, second) == (11, 13)
    assert pid == same != os.getpid()
    assert not is_alive(pid)
    shown = capfd.readouterr()
    assert shown.out == ""  # what a peer prints stays out of the report
    works = f"{['2'] * len(THREAD_VARIABLES)} set()"
    assert shown.err.split("\n") == ["set up", works, works, ""]
    assert [os.environ[name] for name in THREAD_VARIABLES] == ["1"] * len(THREAD_VARIABLES)


def test_a_peer_that_is_killed_gives_one_sentence_each_time_it_is_asked() -> None:
    sentence = "INTO: its process was ended by SIGKILL before it answered; is there enough free memory?"
    with Peer("INTO", Trouble, threads=1) as peer:
        for _ in range(2):
            with pytest.raises(PeerDied) as raised:
                peer.ask("killed")
            assert str(raised.value) == sentence


@pytest.mark.parametrize(("setting", "place"), [(["peers"], "in __init__"), ([], "in __call__")])
def test_an_error_in_a_peer_is_raised_here_and_says_where_it_was(setting, place) -> None:
    with Peer("INTO", Trouble, *setting, threads=1) as peer, pytest.raises(SettingError) as raised:
        peer.ask("peers")
    assert "peers = 'none' is not allowed" in str(raised.value)
    assert place in "".join(raised.value.__notes__)


def test_a_peer_at_work_is_ended_too(monkeypatch) -> None:
    monkeypatch.setattr(peers, "PATIENCE_S", 0.1)
    with Peer("sleeper", Trouble, threads=1) as peer:
        peer.begin("sleep")
        pid = peer._process.pid
    assert not is_alive(pid)


def test_peers_take_turns_once_all_are_set_up_and_work_together_where_asked() -> None:
    diary = Mock()
    for peer in (diary.a, diary.b):
        peer.ask.return_value = peer.answer.return_value = peer
    set_up = [call.a.wait(), call.b.wait()]
    assert list(in_turn([diary.a, diary.b], 2, "go")) == [[diary.a, diary.b]] * 2
    assert diary.mock_calls == [*set_up, *[call.a.ask("go"), call.b.ask("go")] * 2]
    diary.reset_mock()
    assert together([diary.a, diary.b], "go") == [diary.a, diary.b]
    work = [call.a.begin("go"), call.b.begin("go"), call.a.answer(), call.b.answer()]
    assert diary.mock_calls == [*set_up, *work]


def test_the_peak_of_a_process_is_its_own() -> None:
    mine = bytearray(b"x") * 400_000_000
    with Peer("hoard", Hoard, threads=1) as peer:
        before, after = peer.ask(100_000_000)
        _, later = peer.ask(1)
    assert before < len(mine)  # what the process that started it once took is not its own
    assert after - before > 60_000_000
    assert later >= after


@pytest.mark.parametrize(("system", "unit"), [("darwin", 1), ("linux", 1024)])
def test_the_peak_where_there_is_no_proc(system, unit, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(peers, "Path", lambda _: tmp_path / "nothing")
    monkeypatch.setattr("resource.getrusage", lambda _: SimpleNamespace(ru_maxrss=5_000))
    monkeypatch.setattr(sys, "platform", system)
    assert peers.peak_rss_bytes() == 5_000 * unit


# What is counted. -------------------------------------------------------------------------------------------------


def plain(sizes: list[int]) -> nn.Sequential:
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]


def test_the_flops_of_a_slot_are_those_that_pytorch_counts() -> None:
    states, actions, batch = 11, 7, 5
    actor, target_actor = plain([states, 9, 8, actions]), plain([states, 9, 8, actions])
    critic, target_critic = (plain([states + actions, 6, 4, 1]) for _ in range(2))
    state, action, after = torch.rand(batch, states), torch.rand(batch, actions), torch.rand(batch, states)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            actor(state[:1])
            value = target_critic(torch.cat((after, target_actor(after)), dim=1))
        (critic(torch.cat((state, action), dim=1)) - value).square().mean().backward()
        critic.requires_grad_(False)
        critic(torch.cat((state, actor(state)), dim=1)).mean().backward()
    expected = ratios.slot_flops((states, 9, 8, actions), (states + actions, 6, 4, 1), batch)
    to_state = 2 * batch * states * 6  # PyTorch goes back to the state too, which INTO leaves out
    assert counter.get_total_flops() == expected + to_state


@pytest.mark.parametrize("product", [ratios.mm, ratios.onednn, ratios.onednn_transposed])
def test_the_rate_of_every_yardstick_which_is_the_product_of_a_layer(product, monkeypatch) -> None:
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(ratios, "perf_counter", lambda: next(clock))
    x, weight, answers = torch.rand(4, 6), torch.rand(3, 6), []
    rate = ratios.product_gflops(lambda *pair: answers.append(product(*pair)), x, weight)
    assert rate == pytest.approx(2 * 4 * 6 * 3 * ratios.CALLS / 2.0 / 1e9)
    assert len(answers) > ratios.CALLS
    answer = answers[-1] if answers[-1].shape == (4, 3) else answers[-1].t()
    assert torch.allclose(answer, linear(x, weight))


# What is trained. -------------------------------------------------------------------------------------------------


def test_stable_baselines3_trains_the_same_networks_as_often() -> None:
    slots = ratios.Sb3Slots(TINY, CHUNK)
    slots(3)
    model, into = slots.model, TINY.make_agent()
    assert model.num_timesteps == CHUNK + 3
    assert model._n_updates == CHUNK + 3 - BATCH
    assert (model.batch_size, model.buffer_size) == (BATCH, REPLAY)
    for theirs, ours in ((model.actor.mu, into.actor), (model.critic.qf0, into.critic)):
        shapes = [[one.shape for one in network.parameters() if one.dim() == 2] for network in (theirs, ours)]
        assert shapes[0] == shapes[1]
    assert model.get_env().get_attr("scenario")[0] == TINY.scenario()


def test_the_products_are_those_of_the_layers() -> None:
    encoder = Encoder(TINY.scenario())
    states, actions = encoder.state_size, encoder.action_size
    flops = ratios.slot_flops((states, 9, 7, actions), (states + actions, 8, 6, 1), BATCH)
    rates = ratios.slots_and_products(TINY, CHUNK)(1)
    assert rates["slot_gflop"] * 1e9 == pytest.approx(flops)
    assert min(rates.values()) > 0


def test_the_training_whose_memory_counts_is_full_and_saves_a_checkpoint(tmp_path) -> None:
    path, agent = tmp_path / "bench.safetensors", TINY.make_agent()
    assert ratios.full_training(TINY, CHUNK)(2, path) > 0
    assert len(resume(path, agent, DigitalTwin(TINY.scenario(), 0), "bench")) == CHUNK + 2
    assert len(agent.replay) == REPLAY


# The ratios. ------------------------------------------------------------------------------------------------------


class Here:
    """Stands in for a peer: does its work in this process."""

    def __init__(self, name: str, setup: Any, *args: Any, threads: int) -> None:
        self.work = setup(*args)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> None:
        pass

    def ask(self, *args: Any) -> Any:
        return self.work(*args)

    def begin(self, *args: Any) -> None:
        self.answer = lambda: self.ask(*args)


RATES = [
    {"slot_gflop": 9, "slot_gflop_per_s": slot, "mm_gflop_per_s": mm, "onednn_gflop_per_s": onednn}
    for slot, mm, onednn in ((60, 80, 120), (50, 100, 200))
]


@pytest.mark.parametrize(
    ("measured", "answers", "threads", "repeats", "figures"),
    [
        (
            partial(ratios.train_vs_sb3, 3),
            {"INTO": [0.1, 0.2, 0.3], "Stable-Baselines3": [0.4, 0.4, 0.4]},
            3,
            [0.25, 0.5, 0.75],
            {"into_slot_ms": 200.0, "sb3_slot_ms": 400.0},
        ),
        (
            partial(ratios.gemm_fraction, 2),
            {"INTO": RATES},
            3,
            [0.75, 0.5],
            {"onednn_fraction": (0.5 + 0.25) / 2, "slot_gflop_per_s": 55.0, "slot_gflop": 9},
        ),
        (  # the slowest counts
            partial(ratios.worker_efficiency, 2),
            {"worker 1": [0.9, 1.0, 0.9, 0.9], "worker 2": [0.9, 1.5], "worker 3": [1.2, 0.9]},
            1,
            [0.9 / 1.2, 0.9 / 1.5],
            {"workers": 3, "trainings_per_hour": 3 * 3600 / (2000 * 1.35)},
        ),
        (partial(ratios.train_rss_gb, 1), {"INTO": [750_000_000]}, 3, [0.75], {}),
        (  # the smaller counts
            partial(ratios.batched_vs_single, 2, worlds=3),
            {"INTO": [(8.0, 1.0)] * 2, "all-on": [(3.0, 1.0)] * 2},
            1,
            [3.0, 3.0],
            {"INTO_ratio": 8, "all-on_ratio": 3, "worlds": 3},
        ),
    ],
    ids=["train_vs_sb3", "gemm_fraction", "worker_efficiency", "train_rss_gb", "batched_vs_single"],
)
def test_the_ratio_of_what_peers_answer(measured, answers, threads, repeats, figures, monkeypatch) -> None:
    used = {}

    def told(name: str, *_: Any, threads: int) -> Here:
        used[name] = threads
        left = iter(answers[name])
        return Here(name, lambda: lambda *_: next(left), threads=threads)

    monkeypatch.setattr(ratios, "Peer", told)
    monkeypatch.setattr(ratios, "usable_cores", lambda: 3)
    result = measured()
    assert result.repeats == pytest.approx(repeats)
    assert {name: result.figures[name] for name in figures} == pytest.approx(figures)
    assert used == dict.fromkeys(answers, threads)


def test_the_smaller_ratio_to_the_literal_algorithm_counts(monkeypatch) -> None:
    times = {"own": [[1.0] * 2, [2.0] * 2, [700.0] * 2, [800.0] * 2]}
    times["random"] = [[1.0] * 2, [2.0] * 2, [600.0] * 2, [900.0] * 2]
    monkeypatch.setattr(ratios, "slot_times", lambda repeats, scenario, name: np.array(times[name]))
    result = ratios.algorithm_1_vs_literal(2, SYSTEM, worlds=3)
    assert result.repeats == [600.0, 600.0]
    assert (result.figures["own_bs_ms"], result.figures["own_bs_literal_ms"]) == (1.0, 700.0)
    assert result.figures["own_bs_over_before"] == pytest.approx(700.0 / ratios.BEFORE["own"])
    assert result.figures["random_bs_together_ms"] > 0
    assert ratios.system_vs_literal(2, SYSTEM).repeats == [450.0] * 2


def test_peers_that_decide_differently_are_found_out(monkeypatch) -> None:
    def lazy(scenario, _state, placement) -> Action:
        return Action(np.full_like(placement, -1), np.zeros(scenario.n_devices))

    monkeypatch.setattr(ratios, "refine_discrete", lazy)
    with pytest.raises(AssertionError, match="decide differently"):
        ratios.slot_times(1, SYSTEM, "own")


@pytest.mark.parametrize(("own", "random"), [(1.0, 0.5), (0.5, 2.0)])
def test_the_exponent_is_the_larger_of_the_two_that_are_there(own, random, monkeypatch) -> None:
    def slot_s(scenario, offered) -> float:
        size = scenario.n_devices
        return 1e-6 * (size * np.log(size)) ** (own if offered == "own" else random)

    monkeypatch.setattr(ratios, "first_slot_s", slot_s)
    found = ratios.scaling_exponent(2, sizes=(20, 100, 500, 1000), n_bs=10)
    assert found.repeats == pytest.approx([max(own, random)] * 2)
    assert found.figures["own_bs_last_decade"] == pytest.approx(own)
    assert found.figures["random_bs_1000_devices_ms"] == pytest.approx(1e-3 * (1000 * np.log(1000)) ** random)


def test_what_costs_the_same_at_every_size_does_not_show_in_the_last_decade(monkeypatch) -> None:
    monkeypatch.setattr(ratios, "first_slot_s", lambda scenario, _: 1e-3 + 1e-6 * scenario.n_devices)
    found = ratios.scaling_exponent(1, sizes=(10, 100, 1000, 10_000), n_bs=10)
    assert found.median < found.figures["own_bs_last_decade"] < 1


# The report. ------------------------------------------------------------------------------------------------------

HERE: dict[str, Any] = {"cpu": "A CPU", "cores": 2, "load_before": 0.1}
HERE |= {"system": "Linux", "versions": {"torch": "2", "numpy": "1"}}


def stand_in(key: str, against: str, target: str) -> Measure:
    return Measure(key, lambda repeats: Result([0.5] * repeats), against, target)


def test_the_table_and_the_data() -> None:
    speed = stand_in("speed", "ours over theirs", "at most 0.40")
    result = Result([0.5, 0.25, 0.375], {"our_ms": 12.345})
    assert as_text(
        [(speed, result), (stand_in("memory_gb", "GB", "at most 1"), Result([1234.5]))], HERE
    ).splitlines() == [
        "measure    median    lowest    highest   target        measured against",
        "speed      0.375     0.25      0.5       at most 0.40  ours over theirs",
        "memory_gb  1.23e+03  1.23e+03  1.23e+03  at most 1     GB",
        "speed: our_ms 12.35",
        "A CPU, 2 cores, load 0.1 before; Linux, torch 2, numpy 1",
    ]
    details = {"repeats": [0.5, 0.25, 0.375], "low": 0.25, "high": 0.5, "our_ms": 12.345}
    details |= {"against": "ours over theirs", "target": "at most 0.40"}
    expected = {"speed": 0.375, "machine": HERE, "details": {"speed": details}}
    assert json.loads(json.dumps(as_data([(speed, result)], HERE))) == expected


def test_the_machine(tmp_path, monkeypatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Another\n")
    assert cpu_model(path) == "Some CPU @ 2 GHz"
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert cpu_model(tmp_path / "none") == "arm64"


# The command. -----------------------------------------------------------------------------------------------------


def run(*words: str) -> Any:
    return CliRunner().invoke(cli.app, ["bench", *words])


LOAD = {"run": TINY, "chunk": CHUNK}
SMALL: dict[str, dict[str, Any]] = {
    "train_vs_sb3": LOAD,
    "gemm_fraction": LOAD,
    "worker_efficiency": LOAD,
    "train_rss_gb": LOAD,
    "lockstep": {**LOAD, "device": "cpu", "members": 2},
    "algorithm_1_vs_literal": {"scenario": SYSTEM, "worlds": 2},
    "system_vs_literal": {"scenario": SYSTEM},
    "batched_vs_single": {"worlds": 2},
    "scaling_exponent": {"sizes": (40, 80, 400), "n_bs": 4},
}


def test_every_measure_as_json(monkeypatch) -> None:
    monkeypatch.setattr(ratios, "Peer", Here)
    monkeypatch.setattr(ratios, "usable_cores", lambda: 1)
    small = [replace(one, run=partial(one.run, **SMALL[one.key]), on_gpu=False) for one in MEASURES]
    monkeypatch.setattr(report, "MEASURES", small)
    done = run("--json", "--repeats", "1")
    assert done.exit_code == 0, done.exception
    data = json.loads(done.stdout)
    assert list(data) == [*SMALL, "machine", "details"]
    assert data["machine"]["versions"]["torch"] == version("torch")
    for key in SMALL:
        assert np.isfinite(data[key])
        assert data["details"][key]["repeats"] == [data[key]]
        assert f"Measuring {key} 1 times" in done.stderr


def test_the_table_of_the_measures_that_are_chosen(monkeypatch) -> None:
    stand_ins = [stand_in(key, "one over other", "at least 0.1") for key in ("first", "second", "third")]
    monkeypatch.setattr(report, "MEASURES", stand_ins)
    done = run("--only", "third", "--only", "first", "--repeats", "2")
    rows = [line.split()[:4] for line in done.stdout.splitlines()[1:3]]
    assert rows == [["first", *["0.5"] * 3], ["third", *["0.5"] * 3]]
    assert "second" not in done.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--only", "speed"], "only = 'speed' is not allowed: it should be one of train_vs_sb3, gemm"),
        ([], "train_vs_sb3 needs stable-baselines3: install it by `pip install -e '.[bench]'`."),
    ],
    ids=["unknown", "without stable-baselines3"],
)
def test_what_cannot_be_measured_is_said_before_it_begins(words, sentence, monkeypatch, capsys) -> None:
    forbidden = [replace(one, run=lambda _: pytest.fail("measured")) for one in MEASURES]
    monkeypatch.setattr(report, "MEASURES", forbidden)
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["mecsim", "bench", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(sentence)
    assert [one.key for one in chosen(["gemm_fraction"])] == ["gemm_fraction"]


def test_without_a_gpu_what_needs_one_is_left_out_with_a_sentence(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(report, "find_spec", lambda name: True)
    assert "lockstep" not in [one.key for one in chosen()]
    assert capsys.readouterr().err == "lockstep is left out: there is no GPU here that PyTorch can use.\n"
    with pytest.raises(SettingError, match="lockstep needs a GPU that PyTorch can use: there is none here"):
        chosen(["lockstep"])


def test_a_peer_that_dies_ends_the_command_with_one_sentence(monkeypatch) -> None:
    def die(_: int) -> Result:
        with Peer("INTO", Trouble, "exit", threads=1) as peer:
            return Result([peer.ask()])

    monkeypatch.setattr(report, "MEASURES", [Measure("dies", die, "", "")])
    done = run("--json")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[1:] == [
        "INTO: its process was ended with exit code 3 before it answered; is there enough free memory?"
    ]


@pytest.mark.parametrize(("command", "name"), [("bench", "benchmarks"), ("reproduce", "tools/reproduce.py")])
def test_without_a_checkout_one_sentence_says_so(command, name, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["mecsim", command])
    with pytest.raises(SystemExit):
        cli.main()
    sentence = f"mecsim {command} needs a checkout: there is no {name} in {tmp_path}.\n"
    assert capsys.readouterr().err == sentence
