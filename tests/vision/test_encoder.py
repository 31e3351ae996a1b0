"""The encoder against its plain expression: values, gradients, dropout."""

import pytest
import torch
from torch.nn import functional

from handrail.vision.config import VisionConfig
from handrail.vision.encoder import ObservationEncoder

CONFIG = VisionConfig(bottleneck=12, proprioception=5, spatial_features=3, dropout=0.25)
ROWS, CAMERAS, CHANNELS, CELLS, STATE = 9, 2, 6, 4, 7


@pytest.fixture
def encoder() -> ObservationEncoder:
    generator = torch.Generator().manual_seed(0)
    encoder = ObservationEncoder(CAMERAS, (CHANNELS, CELLS), STATE, CONFIG, generator)
    with torch.no_grad():  # away from the initial zeros and ones, where mistakes hide
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return encoder


def observed() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, STATE, generator=g), torch.randn(ROWS, CAMERAS, CHANNELS, CELLS, generator=g)


def plainly(encoder: ObservationEncoder, state: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    def squashed(z: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
        normed = functional.layer_norm(z + affine[0], (z.shape[-1],)) * affine[1] + affine[2]
        return torch.tanh(normed)

    parts = []
    for camera in range(CAMERAS):
        spatial = torch.einsum("bcs,csf->bcf", maps[:, camera], encoder.kernels[camera]).flatten(1)
        parts.append(squashed(spatial @ encoder.weights[camera].T, encoder.affine[camera]))
    assert encoder.state_weight is not None and encoder.state_affine is not None
    return torch.cat([*parts, squashed(state @ encoder.state_weight.T, encoder.state_affine)], -1)


def test_values_and_gradients_are_those_of_plain_pytorch(encoder: ObservationEncoder) -> None:
    found = []
    for forward in (encoder, lambda state, maps: plainly(encoder, state, maps)):
        state, maps = observed()
        maps.requires_grad_(True)  # a trunk that is trained stands before it
        encoder.zero_grad()
        seen = forward(state, maps)
        (seen * torch.linspace(-1.0, 1.0, seen.numel()).view_as(seen)).sum().backward()
        assert maps.grad is not None
        gradients = [p.grad.clone() for p in encoder.parameters() if p.grad is not None]
        assert len(gradients) == len(list(encoder.parameters()))
        found.append([seen.detach(), maps.grad, *gradients])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)
    assert found[0][0].shape == (ROWS, encoder.size)


def test_half_precision_maps_are_taken_as_they_are(encoder: ObservationEncoder) -> None:
    state, maps = observed()
    torch.testing.assert_close(encoder(state, maps.half()), encoder(state, maps.half().float()))


def test_dropout_drops_its_share_and_keeps_the_mean(encoder: ObservationEncoder) -> None:
    masks = torch.stack([encoder._mask(200, torch.Generator().manual_seed(seed)) for seed in range(5)])
    assert masks.unique().tolist() == pytest.approx([0.0, 1.0 / 0.75])
    assert float(masks.mean()) == pytest.approx(1.0, abs=0.05)
    assert not torch.equal(masks[0], masks[1])


def test_the_same_draw_drops_the_same_and_a_gradient_passes_the_rest(encoder: ObservationEncoder) -> None:
    state, maps = observed()
    maps.requires_grad_(True)
    seen = encoder(state, maps, dropout=torch.Generator().manual_seed(2))
    again = encoder(state, maps, dropout=torch.Generator().manual_seed(2))
    assert torch.equal(seen, again)
    seen.square().sum().backward()
    assert maps.grad is not None and bool(maps.grad.abs().sum() > 0.0)


def test_without_a_state_there_is_no_branch_for_it() -> None:
    encoder = ObservationEncoder(CAMERAS, (CHANNELS, CELLS), 0, CONFIG)
    assert encoder(None, observed()[1]).shape == (ROWS, CAMERAS * CONFIG.bottleneck)
