"""Other people's files of weights: the known ones are taken over exactly, everything else is refused."""

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hil_serl import parameters, pickled_by_jax
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from handrail.vision.config import TrunkName
from handrail.vision.importing import read
from handrail.vision.trunk import TRUNKS, build
from handrail.vision.weights import TrunkError


def refused(path: Path) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(TrunkError) as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line and path.name in line
    return line


@pytest.fixture(scope="module")
def pickled() -> bytes:
    tree = parameters()
    tree["output_head"] = {"kernel": np.zeros((512, 10), np.float32), "bias": np.zeros(10, np.float32)}
    return pickled_by_jax(tree)


def test_hil_serls_pickle_is_taken_over_exactly(tmp_path: Path, pickled: bytes) -> None:
    path = tmp_path / "resnet10_params.pkl"
    path.write_bytes(pickled)
    found = read(path)
    assert found.trunk == "resnet10" and len(found.tensors) == 36
    assert sum(tensor.numel() for tensor in found.tensors.values()) == 4_905_792
    assert (
        f"HIL-SERL's ResNet-10, resnet10_params.pkl, SHA-256 {hashlib.sha256(pickled).hexdigest()}"
        == found.origin
    )
    theirs = parameters()
    kernel = theirs["ResNetBlock_2"]["Conv_0"]["kernel"]  # (H, W, in, out)
    assert float(found.tensors["blocks.2.conv1.weight"][5, 3, 0, 2]) == kernel[0, 2, 3, 5]
    block = theirs["ResNetBlock_1"]
    np.testing.assert_array_equal(found.tensors["blocks.1.norm2.weight"], block["MyGroupNorm_1"]["scale"])
    np.testing.assert_array_equal(found.tensors["blocks.1.shortcut.1.bias"], block["norm_proj"]["bias"])


def test_hil_serls_pickle_that_is_cut_off_or_not_whole_is_refused(tmp_path: Path, pickled: bytes) -> None:
    path = tmp_path / "resnet10_params.pkl"
    path.write_bytes(pickled[: len(pickled) // 2])
    assert "damaged or no pickle of arrays" in refused(path)
    tree = parameters()
    del tree["ResNetBlock_3"]["norm_proj"]
    path.write_bytes(pickled_by_jax(tree))
    assert "is no resnet10: it lacks 2 of 36 tensors, blocks.3.shortcut.1.weight first" in refused(path)
    tree = parameters()
    tree["conv_init"]["kernel"] = np.zeros((3, 3, 3, 64), np.float32)
    path.write_bytes(pickled_by_jax(tree))
    assert "conv1.weight is (64, 3, 3, 3), must be (64, 3, 7, 7)" in refused(path)
    tree = parameters()
    tree["norm_init"]["bias"][3] = np.nan
    path.write_bytes(pickled_by_jax(tree))
    assert "norm1.bias holds values that are no finite numbers" in refused(path)


def test_a_deeper_network_of_hil_serls_is_refused(tmp_path: Path) -> None:
    tree = parameters()
    tree["ResNetBlock_4"] = tree["ResNetBlock_3"]
    path = tmp_path / "resnet18_params.pkl"
    path.write_bytes(pickled_by_jax(tree))
    assert "tensors too many, blocks.4." in refused(path)


def test_lerobots_port_is_taken_over(tmp_path: Path) -> None:
    ours = build("resnet10", 4).state_dict()
    theirs = {}
    for name, tensor in ours.items():
        renamed = name.replace("blocks.", "encoder.stages.")
        if renamed.startswith("conv1."):
            renamed = renamed.replace("conv1.", "embedder.0.", 1)
        elif renamed.startswith("norm1."):
            renamed = renamed.replace("norm1.", "embedder.1.", 1)
        elif tensor.ndim == 4:
            renamed = renamed.replace(".weight", ".conv.weight")
        theirs[renamed] = tensor
    assert "encoder.stages.1.shortcut.0.conv.weight" in theirs and "embedder.0.weight" in theirs
    save_file(theirs, tmp_path / "model.safetensors")
    found = read(tmp_path / "model.safetensors")
    assert found.trunk == "resnet10" and found.origin.startswith("LeRobot's ResNet-10, model.safetensors")
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in ours.items())


class Timm10T(nn.Module):
    """timm 1.0's `resnet10t` (timm/models/resnet.py), with its names and its BatchNorms."""

    def __init__(self) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, stride: int = 1, side: int = 3) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)

        self.conv1 = nn.Sequential(
            *(conv(3, 24, 2), nn.BatchNorm2d(24), nn.ReLU()),
            *(conv(24, 32), nn.BatchNorm2d(32), nn.ReLU()),
            conv(32, 64),
        )
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, outputs in enumerate((64, 128, 256, 512)):
            block = nn.Module()
            block.conv1 = conv(inputs, outputs, 1 if stage == 0 else 2)
            block.bn1, block.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs)
            block.bn2 = nn.BatchNorm2d(outputs)
            if stage > 0:
                pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
                block.downsample = nn.Sequential(pool, conv(inputs, outputs, side=1), nn.BatchNorm2d(outputs))
            self.add_module(f"layer{stage + 1}", nn.Sequential(block))
            inputs = outputs
        self.fc = nn.Linear(512, 10)

    def forward_features(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(4):
            block: Any = self.get_submodule(f"layer{stage + 1}.0")
            y = block.bn2(block.conv2(functional.relu(block.bn1(block.conv1(x)))))
            x = functional.relu(y + (block.downsample(x) if stage else x))
        return x


@pytest.fixture(scope="module")
def timm() -> Timm10T:
    torch.manual_seed(0)
    network = Timm10T().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean") or name.endswith("bias"):
            tensor.normal_(0.0, 0.2)
        elif tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "wrapped"])
def test_timms_network_is_taken_over_with_its_batch_norms_folded(
    tmp_path: Path, timm: Timm10T, form: str
) -> None:
    path = tmp_path / "resnet10t.pth"
    state = timm.state_dict()
    if form == "safetensors":
        save_file(state, path)
    elif form == "wrapped":
        torch.save(
            {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path
        )
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    found = read(path)
    assert found.trunk == "resnet10t" and found.origin.startswith("timm's resnet10t, resnet10t.pth")
    network = TRUNKS["resnet10t"]()
    network.load_state_dict(found.tensors)
    with torch.no_grad():
        for size in ((96, 96), (84, 100)):
            x = torch.randn(1, 3, *size)
            torch.testing.assert_close(network(x), timm.forward_features(x), rtol=1e-4, atol=1e-4)


def test_networks_that_only_look_alike_are_refused(tmp_path: Path, timm: Timm10T) -> None:
    path = tmp_path / "other.safetensors"
    state = timm.state_dict()
    save_file({name: value for name, value in state.items() if "running" not in name}, path)
    assert "no resnet10t of timm's with its BatchNorms" in refused(path)
    deeper = {
        **state,
        **{name.replace("layer2.0", "layer2.1"): value.clone() for name, value in state.items()},
    }
    save_file(deeper, path)
    assert "no network that can be imported" in refused(path)
    wider = {**state, "layer2.0.conv1.weight": torch.zeros(128, 64, 1, 1)}
    save_file(wider, path)
    assert "blocks.1.conv1.weight is (128, 64, 1, 1), must be (128, 64, 3, 3)" in refused(path)
    plain = {"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}
    save_file(plain, path)
    assert "no network that can be imported (2 tensors: conv1.weight, layer1.0.conv1.weight …)" in refused(
        path
    )


class Runs:
    """Runs a command when it is unpickled by those who would."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("new", [True, False])
def test_a_pytorch_checkpoint_that_holds_more_than_tensors_runs_nothing(tmp_path: Path, new: bool) -> None:
    trace = tmp_path / "trace"
    torch.save(
        {"conv1.0.weight": Runs(f"touch {trace}")}, tmp_path / "x.pth", _use_new_zipfile_serialization=new
    )
    assert "holds more than tensors" in refused(tmp_path / "x.pth")
    assert not trace.exists()


def test_what_is_no_file_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert "cannot be read: No such file" in refused(path)
    for content in (b"", b"hello", b"PK\x03\x04 and nothing", b"\x80", b"\x10" + b"\0" * 30, os.urandom(500)):
        path.write_bytes(content)
        refused(path)
    torch.save([torch.zeros(1)], path)
    assert "no tensors by name" in refused(path)
    torch.save(OrderedDict(a=torch.zeros(1), b=3), path)
    assert "no tensors by name" in refused(path)
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder")


@pytest.mark.parametrize("name", TRUNKS)
def test_a_network_of_handrails_own_names_is_taken_as_it_is(tmp_path: Path, name: TrunkName) -> None:
    state = build(name, 2).state_dict()
    save_file(state, tmp_path / "mine.safetensors")
    found = read(tmp_path / "mine.safetensors")
    assert found.trunk == name
    assert all(torch.equal(found.tensors[key], tensor) for key, tensor in state.items())
