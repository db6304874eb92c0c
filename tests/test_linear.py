"""`Linear` is `nn.Linear` to the last digit but a few, whichever way its products are worked out."""

import pytest
import torch
from torch import nn

from mecsim.agents import linear
from mecsim.agents.networks import Linear


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
    product = linear._product

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
