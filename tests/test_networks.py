"""The networks and tensor operations that INTO and DDQN share."""

import numpy as np
import pytest
import torch
from torch import nn

from mecsim.agents import networks
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


def pair(inputs: int, outputs: int) -> tuple[Linear, nn.Linear]:
    """The two layers with the same weights."""
    mine, theirs = Linear(inputs, outputs), nn.Linear(inputs, outputs)
    theirs.load_state_dict(mine.state_dict())
    return mine, theirs


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 64])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (5, 3), (999, 300), (300, 1)])
def test_a_product_and_its_gradients(batch, inputs, outputs) -> None:
    mine, theirs = pair(inputs, outputs)
    one = torch.rand(batch, inputs, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    slope = torch.rand(batch, outputs)
    answer, expected = mine(one), theirs(other)
    assert close(answer, expected)
    answer.backward(slope)
    expected.backward(slope)
    assert close(one.grad, other.grad)
    assert close(mine.weight.grad, theirs.weight.grad)
    assert close(mine.bias.grad, theirs.bias.grad)


def test_a_stack_of_layers_has_the_gradients_of_plain_pytorch() -> None:
    (a, b), (c, d) = pair(7, 5), pair(5, 2)
    a.relu = True
    mine, theirs = nn.Sequential(a, c), nn.Sequential(b, nn.ReLU(), d)
    batch = torch.rand(64, 7)
    for network in (mine, theirs):
        (network(batch) ** 2).mean().backward()
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert close(one.grad, other.grad)


@pytest.mark.parametrize("needed", ["inputs", "weights"])
def test_only_the_gradients_that_are_needed_are_worked_out(needed, monkeypatch) -> None:
    layer, batch = Linear(4, 3), torch.rand(2, 4, requires_grad=needed == "inputs")
    layer.requires_grad_(needed == "weights")
    answer = layer(batch)
    products = []
    product = networks._product

    def counted(*operands):
        products.append(operands)
        return product(*operands)

    monkeypatch.setattr("mecsim.agents.networks._product", counted)
    answer.sum().backward()
    assert len(products) == 1
    assert (batch.grad is None) == (needed == "weights")
    assert (layer.weight.grad is None) == (needed == "inputs")


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("odd", ["no oneDNN", "double", "one vector", "bfloat16"])
def test_what_onednn_cannot_take_is_left_to_pytorch(odd, relu, monkeypatch) -> None:
    mine, theirs = pair(4, 3)
    mine.relu = relu
    batch = torch.rand(2, 4)
    monkeypatch.setattr("mecsim.agents.networks._product", lambda *_: pytest.fail("oneDNN was asked"))
    if odd == "no oneDNN":
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    elif odd == "double":
        mine, theirs, batch = mine.double(), theirs.double(), batch.double()
    elif odd == "one vector":
        batch = batch[0]
    with torch.autocast("cpu", torch.bfloat16, enabled=odd == "bfloat16"):
        assert torch.equal(mine(batch), torch.relu(theirs(batch)) if relu else theirs(batch))
