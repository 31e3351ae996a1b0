"""Feature maps between two processes: what fits arrives, what does not is dropped and counted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import zmq

from handrail.agent.feature_link import FeatureReceiver, FeatureSender, features_address

KEY, SHAPE = "0123456789abcdef", (4, 6)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[FeatureSender, FeatureReceiver]]:
    address = features_address(tmp_path)
    receiver, sender = FeatureReceiver(address, KEY, SHAPE), FeatureSender(address)
    yield sender, receiver
    sender.close()
    receiver.close()


def everything(receiver: FeatureReceiver, wanted: int) -> list[tuple[int, np.ndarray]]:
    """As many maps as are wanted, or what is there when nothing more comes."""
    found: list[tuple[int, np.ndarray]] = []
    while len(found) + receiver.rejected < wanted and receiver._socket.poll(2000):
        found += receiver.arrived()
    return found


def a_map(seed: int, shape: tuple[int, int] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).half()


def test_maps_arrive_bit_for_bit(ends) -> None:
    sender, receiver = ends
    sender.send(KEY, {number: a_map(number) for number in (7, 8)})
    found = everything(receiver, 2)
    assert [number for number, _ in found] == [7, 8]
    for number, features in found:
        np.testing.assert_array_equal(features, a_map(number).numpy())


def test_maps_of_another_trunk_or_shape_and_rubbish_are_dropped(ends, tmp_path: Path) -> None:
    sender, receiver = ends
    sender.send("another", {1: a_map(1)})
    sender.send(KEY, {2: a_map(2, (4, 7))})
    with zmq.Context.instance().socket(zmq.PUSH) as foreign:
        foreign.connect(features_address(tmp_path))
        for parts in ([b"rubbish"], [b"\xc1", b""], [b"\x93\x01\xa1k\x92\x04\x06", b"short"]):
            foreign.send_multipart(parts)
        assert everything(receiver, 5) == []
    assert receiver.rejected == 5
    sender.send(KEY, {3: a_map(3)})
    assert [number for number, _ in everything(receiver, 6)] == [3]


def test_without_a_learner_the_actor_goes_on(tmp_path: Path) -> None:
    sender = FeatureSender(features_address(tmp_path))
    for number in range(1000):
        sender.send(KEY, {number: a_map(0)})
    receiver = FeatureReceiver(features_address(tmp_path), KEY, SHAPE)
    found = everything(receiver, 1)
    assert 0 < len(found) < 1000
    sender.close()
    receiver.close()
