"""Many trainings at once: each member of a stack goes the way that it goes alone, but for rounding."""

import copy
import pickle

import numpy as np
import pytest
import torch
from test_learners import SMALL, WORLD, small
from worlds import random_state

from mecsim.agents import make_agent
from mecsim.agents.learner import Learner
from mecsim.experiments.checkpoints import resume, save_checkpoint
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
    """Settings of three members, two of which learn at the same rates."""
    rates = ("learning_rate",) if name == "DDQN" else ("actor_learning_rate", "critic_learning_rate", "noise")
    return [
        SMALL[name].replace(gamma=gamma, **dict.fromkeys(rates, rate))
        for gamma, rate in ((0.9, 0.001), (0.5, 0.02), (0.0, 0.02))
    ]


def trained(learner: Learner, twin: DigitalTwin, slots: int = 150) -> np.ndarray:
    return train(learner, twin, slots, progress=False)


def tensors(learner: Learner) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in learner.tensors().items()}


@BOTH
@pytest.mark.parametrize("differ", ["seeds", "scenarios", "settings", "all, in noisy twins"])
def test_members_are_trained_as_they_are_alone(name, differ) -> None:
    alike = differ in ("seeds", "settings")
    scenarios = [WORLD] * 3 if alike else SCENARIOS
    settings = differing(name) if differ in ("settings", "all, in noisy twins") else [SMALL[name]] * 3
    deviation = NOISY if "noisy" in differ else None
    stack = make_agent(
        name,
        WORLD if alike else scenarios,
        SEEDS,
        settings=SMALL[name] if differ in ("seeds", "scenarios") else settings,
    )
    incomes = trained(stack, DigitalTwin(WORLD if alike else scenarios, SEEDS, deviation))
    plant = PhysicalSystem(WORLD if alike else scenarios, [seed + 100 for seed in SEEDS])
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
