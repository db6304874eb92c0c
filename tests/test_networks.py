"""The networks and tensor operations that INTO and DDQN share."""

import pytest
import torch
from torch import nn

from mecsim.agents.networks import (
    Critic,
    Linear,
    constant,
    descend,
    follow,
    make_optimiser,
    mlp,
)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_mlp_is_linear_layers_with_relu_between_and_has_the_gradients_of_plain_pytorch() -> None:
    mine = mlp((7, 5, 2), nn.Sigmoid())
    theirs = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2), nn.Sigmoid())
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(one)
    batch = torch.randn(64, 7)
    assert close(mine(batch), theirs(batch))
    for network in (mine, theirs):
        (network(batch) ** 2).mean().backward()
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert close(one.grad, other.grad)


def test_the_critic_sees_state_and_action_and_says_one_number() -> None:
    critic = Critic(3, 2, (4,))
    state, action = torch.rand(5, 3), torch.rand(5, 2)
    value = critic(state, action)
    assert value.shape == (5,)
    first, last = critic.layers
    hidden = torch.relu(nn.functional.linear(torch.cat((state, action), dim=1), first.weight, first.bias))
    assert value.detach().numpy() == pytest.approx(last(hidden)[:, 0].detach().numpy(), rel=1e-5, abs=1e-6)


def test_follow_is_21_and_22_and_leaves_the_source_alone() -> None:
    source, target = nn.Linear(1, 1), nn.Linear(1, 1)
    for weight, value in (
        (source.weight, 8.0),
        (source.bias, 0.0),
        (target.weight, 4.0),
        (target.bias, -2.0),
    ):
        nn.init.constant_(weight, value)
    follow(target, source, 0.25)
    assert (target.weight.item(), target.bias.item()) == (5.0, -1.5)
    assert (source.weight.item(), source.bias.item()) == (8.0, 0.0)


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


def pair(inputs: int, outputs: int) -> tuple[Linear, nn.Linear]:
    """The two layers with the same weights."""
    mine, theirs = Linear(inputs, outputs), nn.Linear(inputs, outputs)
    theirs.load_state_dict(mine.state_dict())
    return mine, theirs


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
