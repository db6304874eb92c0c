"""`mecsim bench`: peers in turn, what is counted, and the report. No test looks at how long anything took."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from peers import Counter, Diary, Hoard, Meeting, Trouble, sleeper, threads_allowed
from processes import is_alive
from torch import nn
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner
from worlds import TINY as SYSTEM

from benchmarks import peers, ratios, report
from benchmarks.peers import Peer, PeerDied, in_turn, together
from benchmarks.ratios import MEASURES, IntoSlots, Measure, Result, SlotTimes
from benchmarks.report import as_data, as_text, chosen, cpu_model, machine
from mecsim.experiments import cli, store
from mecsim.experiments.checkpoints import resume
from mecsim.experiments.parallel import THREAD_VARIABLES
from mecsim.experiments.runs import Run
from mecsim.settings import SettingError
from mecsim.system import Action
from mecsim.twin import DigitalTwin

BATCH, REPLAY, CHUNK = 4, 20, 6
SETTINGS = {"actor_hidden": (9, 7), "critic_hidden": (8, 6), "batch_size": BATCH, "replay_size": REPLAY}
TINY = Run(agent="INTO", changes={"devices": (3, 4, 5)}, settings=SETTINGS)


# Peers. -----------------------------------------------------------------------------------------------------------


def test_a_peer_is_set_up_once_in_a_process_of_its_own_that_ends_with_it(capfd) -> None:
    with Peer("counter", Counter, 10, threads=1) as peer:
        (first, pid), (second, same) = peer.ask(1), peer.ask(2)
    assert (first, second) == (11, 13)
    assert pid == same != os.getpid()
    assert not is_alive(pid)
    shown = capfd.readouterr()
    assert shown.out == ""  # what a peer prints stays out of the report
    assert shown.err.split("\n") == ["set up", "at work", "at work", ""]


def test_a_peer_has_the_threads_it_is_given(monkeypatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    with Peer("threads", threads_allowed, threads=2) as peer:
        assert peer.ask() == (["2"] * len(THREAD_VARIABLES), set())
    assert [os.environ[name] for name in THREAD_VARIABLES] == ["1"] * len(THREAD_VARIABLES)


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
    notes = "".join(raised.value.__notes__)
    assert "in __call__" in notes
    assert ("in __init__" in notes) == at_set_up


def test_a_peer_at_work_is_ended_too(monkeypatch) -> None:
    monkeypatch.setattr(peers, "PATIENCE_S", 0.1)
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
    monkeypatch.setattr(peers, "Path", lambda _: tmp_path / "nothing")
    monkeypatch.setattr(peers.resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=5_000))
    monkeypatch.setattr(sys, "platform", system)
    assert peers.peak_rss_bytes() == 5_000 * unit


# What is counted. -------------------------------------------------------------------------------------------------


def test_the_flops_of_a_slot_by_hand() -> None:
    # State 2, action 3; the actor 2-5-3 has 10 + 15 products, the critic 5-4-1 has 20 + 4, its action's share is 12.
    target = 25 + 24
    critic_step = 24 + 24 + 4
    actor_step = 25 + 24 + (4 + 12) + (25 + 15)
    expected = 20 * (target + critic_step + actor_step) + 2 * 25
    assert ratios.slot_flops((2, 5, 3), (5, 4, 1), batch=10) == expected


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
    expected = ratios.slot_flops((states, 9, 8, actions), (states + actions, 6, 4, 1), batch)
    assert counter.get_total_flops() == expected


@pytest.mark.parametrize("product", [ratios.mm, ratios.onednn, ratios.onednn_transposed])
def test_every_yardstick_is_the_product_of_a_layer(product) -> None:
    x, weight = torch.rand(4, 6), torch.rand(3, 6)
    answer = product(x, weight)
    answer = answer if answer.shape == (4, 3) else answer.t()
    assert torch.allclose(answer, linear(x, weight))


def test_the_rate_of_a_product(monkeypatch) -> None:
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(ratios, "perf_counter", lambda: next(clock))
    calls = []
    rate = ratios.product_gflops(lambda *pair: calls.append(pair), torch.rand(4, 6), torch.rand(3, 6))
    assert rate == pytest.approx(2 * 4 * 6 * 3 * ratios.CALLS / 2.0 / 1e9)
    assert len(calls) > ratios.CALLS


# What is trained. -------------------------------------------------------------------------------------------------


def test_table_2_is_what_is_measured() -> None:
    settings = ratios.INTOSettings(**ratios.TABLE_II.settings)
    assert ratios.TABLE_II.preset == "calibrated"
    assert (settings.actor_hidden, settings.critic_hidden) == ((3000, 1000), (1500, 600))
    assert ratios.CHUNK > settings.batch_size == 64
    assert settings.precision == "float32"


def test_into_trains_slot_by_slot() -> None:
    slots = IntoSlots(TINY, CHUNK)
    learnt = {name: value.clone() for name, value in slots.learner.tensors().items() if "network" in name}
    assert len(slots.incomes) == CHUNK
    slots(3)
    assert len(slots.incomes) == CHUNK + 3 == slots.twin.state.slot
    now = slots.learner.tensors()
    assert all(not torch.equal(value, now[name]) for name, value in learnt.items() if "weight" in name)


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
    peer = ratios.SlotsAndProducts(TINY, CHUNK)
    states, actions = peer.layers[0][0], peer.layers[0][-1]
    assert peer.layers == [[states, 9, 7, actions], [states + actions, 8, 6, 1]]
    assert peer(1)["slot_gflop"] * 1e9 == pytest.approx(ratios.slot_flops(*peer.layers, BATCH))


def test_the_training_whose_memory_counts_is_full_and_saves_a_checkpoint(tmp_path) -> None:
    full, path = ratios.FullTraining(TINY, CHUNK), tmp_path / "bench.safetensors"
    assert len(full.into.learner.replay) == REPLAY
    assert full(2, path) > 0
    incomes = resume(path, TINY.make_agent(), DigitalTwin(TINY.scenario(), 0), "bench")
    assert incomes == full.into.incomes[: CHUNK + 2]
    assert len(full.into.incomes) == CHUNK + 4


# The ratios. ------------------------------------------------------------------------------------------------------


class Here:
    """Stands in for a peer: does its work in this process."""

    def __init__(self, name: str, setup: Any, *args: Any, threads: int) -> None:
        self.work = setup(*args)

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> None:
        pass

    def begin(self, *args: Any) -> None:
        self.left = self.ask(*args)

    def answer(self) -> Any:
        return self.left

    def ask(self, *args: Any) -> Any:
        return self.work(*args)


class Told(Here):
    """Stands in for a peer: answers what it was told to, in turn."""

    answers: dict[str, list[Any]]
    threads: dict[str, int]

    def __init__(self, name: str, *_: Any, threads: int) -> None:
        answers = iter(self.answers[name])
        self.threads[name] = threads
        self.work = lambda *_: next(answers)


@pytest.fixture
def told(monkeypatch) -> type[Told]:
    """Peers that answer what `told.answers` says."""
    Told.answers, Told.threads = {}, {}
    monkeypatch.setattr(ratios, "Peer", Told)
    monkeypatch.setattr(peers.os, "cpu_count", lambda: 3)
    return Told


def test_train_vs_sb3_is_our_time_over_theirs(told) -> None:
    told.answers = {"INTO": [0.1, 0.2, 0.3], "Stable-Baselines3": [0.4, 0.4, 0.4]}
    result = ratios.train_vs_sb3(3)
    assert result.repeats == pytest.approx([0.25, 0.5, 0.75])
    assert result.median == pytest.approx(0.5)
    assert result.figures == pytest.approx({"into_slot_ms": 200.0, "sb3_slot_ms": 400.0})
    assert told.threads == {"INTO": 3, "Stable-Baselines3": 3}


def test_gemm_fraction_is_the_slot_over_the_product(told) -> None:
    names = ("slot_gflop", "slot_gflop_per_s", "mm_gflop_per_s", "onednn_gflop_per_s")
    told.answers = {
        "INTO": [dict(zip(names, rates, strict=True)) for rates in ((9, 60, 80, 120), (9, 50, 100, 200))]
    }
    result = ratios.gemm_fraction(2, TINY)
    assert result.repeats == [0.75, 0.5]
    assert result.figures["onednn_fraction"] == pytest.approx((0.5 + 0.25) / 2)
    assert (result.figures["slot_gflop_per_s"], result.figures["slot_gflop"]) == (55.0, 9)
    told.answers = {"INTO": [dict(zip(names, (9, 60, 80), strict=False))]}
    assert "onednn_fraction" not in ratios.gemm_fraction(1, TINY).figures


def test_worker_efficiency_counts_the_slowest(told) -> None:
    told.answers = {"worker 1": [0.9, 1.0, 0.9, 0.9], "worker 2": [0.9, 1.5], "worker 3": [1.2, 0.9]}
    result = ratios.worker_efficiency(2)
    assert result.repeats == pytest.approx([0.9 / 1.2, 0.9 / 1.5])
    assert result.figures["workers"] == 3
    assert result.figures["trainings_per_hour"] == pytest.approx(3 * 3600 / (2000 * 1.35))
    assert told.threads == {f"worker {number}": 1 for number in (1, 2, 3)}


def test_train_rss_is_in_gb_of_a_new_process_each(told) -> None:
    told.answers = {"INTO": [750_000_000]}
    assert ratios.train_rss_gb(2).repeats == [0.75, 0.75]


def test_batched_vs_single_is_the_smaller_of_two(told) -> None:
    told.answers = {"INTO": [(8.0, 1.0)] * 2, "all-on": [(3.0, 1.0)] * 2}
    result = ratios.batched_vs_single(2, worlds=3)
    assert result.repeats == [3.0, 3.0]
    assert (result.figures["INTO_ratio"], result.figures["all-on_ratio"], result.figures["worlds"]) == (
        8,
        3,
        3,
    )
    assert told.threads == {"INTO": 1, "all-on": 1}


def test_one_world_and_many_go_on_for_as_many_slots_as_asked() -> None:
    work = ratios.OneAndMany("all-on", 3)
    alone, together = work.one.state.slot, work.many.state.slot
    assert min(work(4, 2)) > 0
    assert (work.one.state.slot, work.many.state.slot) == (alone + 4, together + 2)


def test_the_smaller_ratio_to_the_literal_algorithm_counts(monkeypatch) -> None:
    times = {"own": SlotTimes(1.0, 2.0, 700.0, 800.0), "random": SlotTimes(1.0, 2.0, 600.0, 900.0)}
    monkeypatch.setattr(ratios, "slot_times", lambda repeats, scenario, name: [times[name]] * repeats)
    result = ratios.algorithm_1_vs_literal(2, SYSTEM, worlds=3)
    assert result.repeats == [600.0, 600.0]
    assert (result.figures["own_bs_ms"], result.figures["own_bs_literal_ms"]) == (1.0, 700.0)
    assert result.figures["own_bs_over_before"] == pytest.approx(700.0 / ratios.BEFORE["own"])
    assert result.figures["random_bs_together_ms"] > 0
    assert ratios.system_vs_literal(3, SYSTEM).repeats == [450.0] * 3


@pytest.mark.parametrize("name", ratios.OFFERED)
def test_a_slot_of_the_twin_and_the_same_slot_task_by_task(name, monkeypatch) -> None:
    monkeypatch.setattr(ratios, "SLOTS", 6)
    found = ratios.slot_times(2, SYSTEM, name)
    assert len(found) == 2
    assert all(
        0 < one.algorithm_1 < one.slot and 0 < one.literal_algorithm_1 < one.literal_slot for one in found
    )


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
    def slot_s(scenario, _offered) -> float:
        size = scenario.n_devices
        return 1e-3 + 1e-6 * size * np.log(size)

    monkeypatch.setattr(ratios, "first_slot_s", slot_s)
    found = ratios.scaling_exponent(1, sizes=(10, 100, 1000, 10_000), n_bs=10)
    assert found.median < found.figures["own_bs_last_decade"] < 1


@pytest.mark.parametrize("name", ratios.OFFERED)
def test_a_slot_of_many_devices_is_timed(name) -> None:
    assert ratios.first_slot_s(ratios.spread(40, 4), name) > 0


# The report. ------------------------------------------------------------------------------------------------------

HERE = {
    "cpu": "A CPU",
    "cores": 2,
    "torch_threads": 2,
    "load_before": 0.1,
    "system": "Linux",
    "versions": {"torch": "2", "numpy": "1"},
}


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
        "A CPU, 2 cores, 2 threads of torch, load 0.1 before; Linux, torch 2, numpy 1",
    ]
    details = {"repeats": [0.5, 0.25, 0.375], "low": 0.25, "high": 0.5, "our_ms": 12.345}
    details |= {"against": "ours over theirs", "target": "at most 0.40"}
    expected = {"speed": 0.375, "machine": HERE, "details": {"speed": details}}
    assert json.loads(json.dumps(as_data([(speed, result)], HERE))) == expected


def test_the_machine(tmp_path, monkeypatch) -> None:
    here = machine()
    assert here["cpu"]
    assert here["cores"] == os.cpu_count()
    assert here["versions"]["torch"] == torch.__version__
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
    """The sentence with which the command stops, by its way out of a shell; nothing may be measured."""
    forbidden = [replace(one, run=lambda _: pytest.fail("measured")) for one in MEASURES]
    monkeypatch.setattr(report, "MEASURES", forbidden)
    monkeypatch.setattr(sys, "argv", ["mecsim", "bench", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.strip()


LOAD = {"run": TINY, "chunk": CHUNK}
SMALL: dict[str, dict[str, Any]] = {
    "train_vs_sb3": LOAD,
    "gemm_fraction": LOAD,
    "worker_efficiency": LOAD,
    "train_rss_gb": LOAD,
    "algorithm_1_vs_literal": {"scenario": SYSTEM, "worlds": 2},
    "system_vs_literal": {"scenario": SYSTEM},
    "batched_vs_single": {"worlds": 2},
    "scaling_exponent": {"sizes": (40, 80, 400), "n_bs": 4},
}


def measured_small(monkeypatch, *keys: str) -> Any:
    """What the command prints as JSON of measures with little to do."""
    small = [replace(one, run=partial(one.run, **SMALL[one.key])) for one in MEASURES if one.key in keys]
    monkeypatch.setattr(report, "MEASURES", small)
    monkeypatch.setattr(peers.os, "cpu_count", lambda: 1)
    done = run("--json", "--repeats", "1")
    assert done.exit_code == 0, done.exception
    data = json.loads(done.stdout)
    assert list(data) == [*(one.key for one in small), "machine", "details"]
    for key in keys:
        assert np.isfinite(data[key])
        assert data["details"][key]["repeats"] == [data[key]]
        assert f"Measuring {key} 1 times" in done.stderr
    return data


def test_every_measure_as_json(monkeypatch) -> None:
    monkeypatch.setattr(ratios, "Peer", Here)
    measured_small(monkeypatch, *SMALL)
    assert set(SMALL) == {one.key for one in MEASURES}


def test_a_measure_in_a_process_of_its_own(monkeypatch, capfd) -> None:
    assert 0 < measured_small(monkeypatch, "train_rss_gb")["train_rss_gb"] < 4
    assert capfd.readouterr().out == ""  # nor did the peer write to standard output


def test_the_table_of_the_measures_that_are_chosen(monkeypatch) -> None:
    stand_ins = [stand_in(key, "one over other", "at least 0.1") for key in ("first", "second", "third")]
    monkeypatch.setattr(report, "MEASURES", stand_ins)
    done = run("--only", "third", "--only", "first", "--repeats", "2")
    assert done.exit_code == 0
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:3]] == [
        ["first", "0.5", "0.5", "0.5"],
        ["third", "0.5", "0.5", "0.5"],
    ]
    assert "second" not in done.output


def test_a_key_that_is_not_known(monkeypatch, capsys) -> None:
    sentence = refused(monkeypatch, capsys, "--only", "train_vs_sb3", "--only", "speed")
    assert sentence.startswith(
        "only = 'speed' is not allowed: it should be one of train_vs_sb3, gemm_fraction"
    )


def test_without_stable_baselines3_nothing_is_measured(monkeypatch, capsys) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    sentence = refused(monkeypatch, capsys)
    assert sentence == "train_vs_sb3 needs stable-baselines3: install it by `pip install -e '.[bench]'`."
    assert [one.key for one in chosen(["gemm_fraction"])] == ["gemm_fraction"]


def test_fewer_than_one_repeat() -> None:
    assert run("--repeats", "0").exit_code == 2


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


PEER_ELSEWHERE = """
from mecsim.experiments.cli import _from_checkout
_from_checkout("bench", "benchmarks")
from functools import partial
from benchmarks.peers import Peer
with Peer("one", partial, abs, threads=1) as peer:
    print(peer.ask(-3))
"""


def test_peers_find_the_benchmarks_where_only_the_package_is_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "mecsim").symlink_to(store.ROOT / "mecsim")
    command = [sys.executable, "-c", PEER_ELSEWHERE]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "3\n", done.stderr
