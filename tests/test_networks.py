"""The networks and tensor operations that INTO and DDQN share."""

import numpy as np
import pytest
import torch
from torch import nn

from mecsim.agents.networks import (
    Critic,
    Linear,
    constant,
    descend,
    follow,
    freeze,
    make_optimiser,
    mlp,
    optimiser_tensors,
    restore_optimiser,
    seed_networks,
    to_tensor,
)


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in network.parameters()]


def test_mlp_is_linear_layers_with_relu_between() -> None:
    network = mlp((4, 3, 2), nn.Sigmoid())
    assert [type(layer) for layer in network] == [Linear, Linear, nn.Sigmoid]
    assert [tuple(layer.weight.shape) for layer in network[:-1]] == [(3, 4), (2, 3)]
    assert [layer.relu for layer in network[:-1]] == [True, False]
    assert [type(layer) for layer in mlp((4, 3))] == [Linear]
    assert not mlp((4, 3))[0].relu


def test_the_critic_sees_state_and_action_and_says_one_number() -> None:
    critic = Critic(3, 2, (4,))
    state, action = torch.rand(5, 3), torch.rand(5, 2)
    value = critic(state, action)
    assert value.shape == (5,)
    first, last = critic.layers
    hidden = torch.relu(nn.functional.linear(torch.cat((state, action), dim=1), first.weight, first.bias))
    assert value.detach().numpy() == pytest.approx(last(hidden)[:, 0].detach().numpy(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("rate", [0.001, 0.3, 1.0])
def test_follow_is_21_and_22(rate) -> None:
    source, target = mlp((3, 4, 2)), mlp((3, 4, 2))
    before, ahead = weights(target), weights(source)
    follow(target, source, rate)
    for now, old, new in zip(weights(target), before, ahead, strict=True):
        assert now.numpy() == pytest.approx((rate * new + (1 - rate) * old).numpy(), rel=1e-6, abs=1e-8)
    for now, old in zip(weights(source), ahead, strict=True):
        assert torch.equal(now, old)


def test_follow_by_hand() -> None:
    source, target = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        for weight, value in (
            (source.weight, 8.0),
            (source.bias, 0.0),
            (target.weight, 4.0),
            (target.bias, -2.0),
        ):
            weight.fill_(value)
    follow(target, source, 0.25)
    assert (target.weight.item(), target.bias.item()) == (5.0, -1.5)


def test_descend_goes_down_the_gradient_of_one_network_only() -> None:
    upper, lower = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        upper.weight.fill_(3.0)
        lower.weight.fill_(2.0)
    loss = upper(lower(torch.ones(1, 1))).sum()  # its gradient on `lower` is 3
    descend(loss, lower, make_optimiser(lower, 0.5))
    assert lower.weight.item() == pytest.approx(1.5)  # Adam's first step is the learning rate, down
    assert lower.weight.grad.item() == 3.0
    assert upper.weight.item() == 3.0
    assert upper.weight.grad is None


def test_a_constant_network_lets_gradients_through_and_takes_none() -> None:
    upper, lower = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with constant(upper):
        upper(lower(torch.ones(1, 1))).sum().backward()
    assert lower.weight.grad.item() == pytest.approx(upper.weight.item())
    assert upper.weight.grad is None
    assert upper.weight.requires_grad


def test_frozen_networks_get_no_gradient() -> None:
    network = mlp((2, 2))
    freeze((network,))
    assert not any(weight.requires_grad for weight in network.parameters())


def test_networks_are_seeded_by_their_own_stream_and_leave_the_global_one_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    made = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng():
            seed_networks(seed)
            made.append(weights(mlp((3, 4))))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(made[0][0], made[1][0])
    assert not torch.equal(made[0][0], made[2][0])


def test_adam_comes_back_from_its_tensors_bit_for_bit() -> None:
    def trained(steps: int) -> tuple[nn.Module, torch.optim.Adam]:
        with torch.random.fork_rng():
            seed_networks(0)
            network = mlp((3, 4, 1))
        optimiser = make_optimiser(network, 0.01)
        step(network, optimiser, range(steps))
        return network, optimiser

    def step(network: nn.Module, optimiser: torch.optim.Adam, numbers: range) -> None:
        for number in numbers:
            descend((network(torch.full((1, 3), float(number))) ** 2).sum(), network, optimiser)

    network, optimiser = trained(5)
    saved = {name: value.clone() for name, value in optimiser_tensors(optimiser).items()}
    fresh, restored = trained(0)
    fresh.load_state_dict(network.state_dict())
    restore_optimiser(restored, saved)
    step(network, optimiser, range(5, 9))
    step(fresh, restored, range(5, 9))
    for one, other in zip(weights(network), weights(fresh), strict=True):
        assert torch.equal(one, other)


def test_a_vector_becomes_a_batch_of_one() -> None:
    assert to_tensor(np.array([1, 2], np.float32), torch.device("cpu")).tolist() == [[1, 2]]
