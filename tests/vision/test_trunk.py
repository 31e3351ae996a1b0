"""The trunk: its numbers are those of HIL-SERL's network, and it looks at each picture once."""

import gc
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from hil_serl import parameters, pickled_by_jax
from torch import nn

from handrail.vision.config import TrunkName
from handrail.vision.importing import read
from handrail.vision.products import FrozenConv2d, freeze_convolutions, onednn_available
from handrail.vision.trunk import (
    TRUNKS,
    Trunk,
    build,
    fastest_precision,
    fingerprint,
    normalise,
    shapes,
    shared,
)

# What Flax 0.12 computes with `hil_serl.parameters()` in HIL-SERL's `ResNetEncoder` (resnet_v1.py), of an
# image drawn by `default_rng(height)`: features by their place in the flattened (C, H/32, W/32) map, and the
# mean of all. 96×80 has an odd side (5) before the last stage.
FLAX = {
    (128, 128): (
        {0: 0.0, 850: 1.94393, 1530: 1.0273, 2380: 2.51252, 2720: 0.34257, 4080: 1.18253, 5950: 0.09705},
        0.5846117734909058,
    ),
    (96, 80): (
        {96: 0.0053, 288: 0.11509, 480: 2.07442, 1536: 2.21072, 2784: 1.25995, 3360: 4.29294, 4224: 0.31768},
        0.5752830505371094,
    ),
}


def picture(height: int, width: int, seed: int | None = None) -> np.ndarray:
    generator = np.random.default_rng(height if seed is None else seed)
    return generator.integers(0, 256, (1, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def hil_serl(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    path = tmp_path_factory.mktemp("weights") / "resnet10_params.pkl"
    path.write_bytes(pickled_by_jax(parameters()))
    return read(path).tensors


@pytest.mark.parametrize("size", FLAX)
@pytest.mark.parametrize(
    ("precision", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 0.05)], ids=["float32", "bfloat16"]
)
def test_its_features_are_those_that_flax_computes(
    hil_serl: dict[str, torch.Tensor], size: tuple[int, int], precision: torch.dtype, tolerance: float
) -> None:
    features = Trunk("resnet10", hil_serl, precision)(torch.from_numpy(picture(*size)))[0]
    values, mean = FLAX[size]
    assert features.dtype == torch.float16 and features.shape == (512, features.numel() // 512)
    for place, value in values.items():
        assert float(features.flatten()[place]) == pytest.approx(value, abs=tolerance)
    assert float(features.float().mean()) == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize("name", TRUNKS)
def test_each_size_of_image_has_its_map(name: TrunkName) -> None:
    trunk = Trunk(name, build(name).state_dict())
    for height, width in ((128, 128), (100, 84), (33, 65)):
        features = trunk(torch.from_numpy(picture(height, width)))
        assert features.shape == (1, trunk.channels, trunk.map_size(height, width))
        assert bool(torch.isfinite(features).all()) and float(features.std()) > 0.0


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_packed_weights_change_nothing(name: TrunkName, precision: torch.dtype) -> None:
    network = build(name, 1)
    images = torch.from_numpy(picture(96, 96))
    with torch.no_grad():
        plain = network.to(precision).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        expected = plain(normalise(images, precision)).flatten(2).half()
    features = Trunk(name, build(name, 1).state_dict(), precision)(images)
    tolerance = 2e-3 if precision is torch.float32 else 0.05  # other sums of the same products
    torch.testing.assert_close(features, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(not onednn_available(), reason="this build of PyTorch has no oneDNN")
def test_every_convolution_is_packed() -> None:
    network = build("resnet10t")
    expected = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    freeze_convolutions(network)
    packed = sum(isinstance(module, FrozenConv2d) for module in network.modules())
    assert packed == expected == 14
    assert not any(isinstance(module, nn.Conv2d) for module in network.modules())


def test_images_are_normalised_as_imagenet_is() -> None:
    image = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)
    expected = [(0 / 255 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (255 / 255 - 0.406) / 0.225]
    assert normalise(image).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert normalise(image.expand(2, 4, 6, 3)).shape == (2, 3, 4, 6)


def test_the_key_says_with_what_features_were_made(hil_serl: dict[str, torch.Tensor]) -> None:
    trunk = Trunk("resnet10", hil_serl, torch.float32)
    assert trunk.key == Trunk("resnet10", hil_serl, torch.float32).key and len(trunk.key) == 16
    other = {**hil_serl, "norm1.bias": hil_serl["norm1.bias"] + 1e-6}
    keys = {
        trunk.key,
        Trunk("resnet10", other, torch.float32).key,
        Trunk("resnet10", hil_serl, torch.bfloat16).key,
    }
    assert len(keys) == 3
    assert fingerprint(hil_serl) == fingerprint(dict(reversed(hil_serl.items())))
    assert fingerprint(hil_serl) != fingerprint(other)


def test_what_is_given_may_be_trained_on(hil_serl: dict[str, torch.Tensor]) -> None:
    network = build("cnn", 3)
    trunk = Trunk("cnn", network.state_dict(), torch.float32)
    images = torch.from_numpy(picture(64, 64))
    before = trunk(images)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(trunk(images), before)


class Counting(Trunk):
    """Notes how many pictures it looks at."""

    looked = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.looked += len(images)
        return super().__call__(images)


def test_policy_and_classifier_share_one_look() -> None:
    trunk = Counting("cnn", build("cnn").state_dict())
    left, right = picture(64, 64, 1)[0], picture(64, 64, 2)[0]
    policy = trunk.of({"left": left, "right": right})
    classifier = trunk.of({"right": right.copy(), "left": left})
    assert trunk.looked == 2
    assert torch.equal(policy["left"], classifier["left"]) and torch.equal(
        policy["right"], classifier["right"]
    )
    assert not torch.equal(policy["left"], policy["right"])
    assert torch.equal(policy["left"], trunk(torch.from_numpy(left[None]))[0])


def test_trunks_of_one_key_become_one_while_somebody_has_it() -> None:
    first = shared(Trunk("cnn", build("cnn", 21).state_dict()))
    assert shared(Trunk("cnn", build("cnn", 21).state_dict())) is first
    assert shared(Trunk("cnn", build("cnn", 22).state_dict())) is not first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_an_array_that_is_used_again_is_looked_at_again() -> None:
    trunk = Counting("cnn", build("cnn").state_dict())
    image = picture(64, 64)[0]
    before = trunk.of({"wrist": image})["wrist"]
    image[:] = 255 - image
    assert not torch.equal(trunk.of({"wrist": image})["wrist"], before) and trunk.looked == 2


def test_cameras_of_two_sizes_and_of_one_picture() -> None:
    trunk = Counting("cnn", build("cnn").state_dict())
    small, large = picture(64, 64)[0], picture(96, 128)[0]
    maps = trunk.of({"a": small, "b": large, "c": small.copy()})
    assert trunk.looked == 2
    assert maps["a"].shape == (64, 4) and maps["b"].shape == (64, 12) and torch.equal(maps["a"], maps["c"])


def test_old_pictures_are_forgotten() -> None:
    trunk = Counting("cnn", build("cnn").state_dict())
    for seed in range(30):
        trunk.of({"wrist": picture(64, 64, seed)[0]})
    assert len(trunk._remembered) == 8
    trunk.of({str(seed): picture(64, 64, seed)[0] for seed in range(20)})  # more than it keeps, all answered
    assert trunk.looked == 50


def test_threads_may_share_it() -> None:
    trunk = Trunk("cnn", build("cnn").state_dict())
    pictures = [picture(64, 64, seed)[0] for seed in range(12)]
    expected = [trunk(torch.from_numpy(image[None]))[0] for image in pictures]
    wrong: list[int] = []

    def look(offset: int) -> None:
        for turn in range(60):
            number = (turn * offset) % len(pictures)
            if not torch.equal(trunk.of({"wrist": pictures[number]})["wrist"], expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=look, args=(offset,)) for offset in (1, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_shapes_are_known_without_a_network() -> None:
    for name, network in TRUNKS.items():
        assert shapes(name) == {key: tuple(tensor.shape) for key, tensor in network().state_dict().items()}


def test_only_a_processor_that_multiplies_bfloat16_by_itself_is_given_it() -> None:
    facts = Path("/proc/cpuinfo")
    if not facts.is_file():
        pytest.skip("this system does not tell what its processor can")
    native = "avx512_bf16" in facts.read_text().split()
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        native = False  # switched off, or none
    assert fastest_precision() == (torch.bfloat16 if native else torch.float32)


def test_an_avx512_processor_that_would_emulate_bfloat16_keeps_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert fastest_precision() == torch.float32
