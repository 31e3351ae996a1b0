"""The hand-written passes against plain PyTorch."""

import pytest
import torch

from handrail.agent.networks.mlp import EnsembleMLP
from handrail.vision import products

ROWS = 40  # more than the few for which the batched form is taken


def make(members: int) -> EnsembleMLP:
    net = EnsembleMLP(members, 7, 2, (24, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # affine parts away from their neutral values
        for name, parameter in net.named_parameters():
            if name.startswith(("gain", "shift", "bias")):
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    return net


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("per_member_input", [False, True])
def test_outputs_and_gradients_match_plain_pytorch(members, per_member_input):
    net = make(members)
    shape = (members, ROWS, 7) if per_member_input else (ROWS, 7)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)).requires_grad_()
    fast, plain = net(x), net.reference(x)
    torch.testing.assert_close(fast, plain, atol=2e-6, rtol=1e-5)
    weight = torch.randn(fast.shape, generator=torch.Generator().manual_seed(3))
    inputs = [x, *net.parameters()]
    for a, b in zip(
        torch.autograd.grad((fast * weight).sum(), inputs),
        torch.autograd.grad((plain * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_subset_gives_those_members_and_only_their_gradients():
    net = make(4)
    x = torch.randn(ROWS, 7, generator=torch.Generator().manual_seed(2))
    out = net(x, subset=[3, 1])
    torch.testing.assert_close(out, net.reference(x)[[3, 1]], atol=2e-6, rtol=1e-5)
    out.square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad[[0, 2]].abs().max() == 0.0
        assert parameter.grad[[1, 3]].abs().max() > 0.0


def test_frozen_sends_gradients_to_the_input_only():
    net = make(2)
    x = torch.randn(ROWS, 7).requires_grad_()
    net(x, frozen=True).sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0.0
    assert all(parameter.grad is None for parameter in net.parameters())


def test_few_rows_give_the_same_values():
    net = make(2)
    x = torch.randn(ROWS, 7)
    torch.testing.assert_close(net(x[:3]), net(x)[:, :3], atol=2e-6, rtol=1e-5)


def test_training_on_either_path_takes_the_same_course():
    """Losses over 100 Adam steps: the hand-written backward pass is the gradient, not nearly the gradient."""
    x = torch.randn(ROWS, 7, generator=torch.Generator().manual_seed(4))
    y = torch.randn(2, ROWS, 2, generator=torch.Generator().manual_seed(5))
    courses = []
    for plain in (False, True):
        net = make(2)
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        losses = []
        for _ in range(100):
            loss = ((net.reference(x) if plain else net(x)) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        courses.append(losses)
    assert courses[0] == pytest.approx(courses[1], rel=2e-3)
    assert courses[0][-1] < 0.7 * courses[0][0]


def test_without_onednn_the_same_products(monkeypatch):
    net = make(2)
    x = torch.randn(ROWS, 7)
    with torch.no_grad():
        before = net(x)
        monkeypatch.setattr(products, "_ONEDNN", False)
        torch.testing.assert_close(net(x), before, atol=2e-6, rtol=1e-5)
