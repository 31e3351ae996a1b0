"""Checkpoints under interruption and damage."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from handrail.agent.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizers,
    save_checkpoint,
)


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint(
        {"w": torch.full((4, 3), value)}, {"critic.0.step": torch.tensor(value)}, {"updates": int(value)}
    )


def test_round_trip_is_exact_and_only_the_newest_are_kept(tmp_path):
    for value in range(5):
        save_checkpoint(tmp_path, f"{value:04d}", checkpoint(value), keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0002", "0003", "0004"]
    loaded, refused = newest_checkpoint(tmp_path)
    assert refused == []
    assert loaded is not None and loaded.state["updates"] == 4
    assert torch.equal(loaded.weights["w"], torch.full((4, 3), 4.0))


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, file, damage):
    save_checkpoint(tmp_path, "0001", checkpoint(1.0), keep=3)
    path = save_checkpoint(tmp_path, "0002", checkpoint(2.0), keep=3) / file
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    loaded, refused = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.state["updates"] == 1
    assert len(refused) == 1 and "0002" in refused[0]


def test_another_schema_is_refused_and_left_alone(tmp_path):
    path = save_checkpoint(tmp_path, "0001", checkpoint(1.0), keep=3) / "state.json"
    document = json.loads(path.read_text()) | {"schema": 99}
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="schema 99, this version reads 1"):
        load_checkpoint(path.parent)
    assert path.read_bytes() == before


def test_a_part_left_by_a_crash_is_ignored_and_replaced(tmp_path):
    save_checkpoint(tmp_path, "0001", checkpoint(1.0), keep=3)
    shutil.copytree(tmp_path / "0001", tmp_path / ".0002.part")
    loaded, _ = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.state["updates"] == 1
    save_checkpoint(tmp_path, "0002", checkpoint(2.0), keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0001", "0002"]


def test_killed_while_saving_over_and_over_there_is_always_a_usable_checkpoint(tmp_path):
    """A process that only saves is stopped and killed; the disk always holds a whole checkpoint."""
    script = textwrap.dedent(
        """
        import sys, torch
        from pathlib import Path
        from handrail.agent.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
        directory = Path(sys.argv[1])
        last, _ = newest_checkpoint(directory)
        value = last.state["updates"] if last else 0
        sys.stdout.write("go\\n"); sys.stdout.flush()
        while True:
            value += 1
            w = torch.full((64, 64), float(value))
            checkpoint = Checkpoint({"w": w}, {"w": w}, {"updates": value})
            save_checkpoint(directory, f"{value:08d}", checkpoint, keep=2)
        """
    )
    newest = 0
    for moment in range(3):
        before, looks = newest, 0
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            # Stop, look, go on: seven moments for the price of one start, more while nothing has been saved.
            while looks < 7 or newest == before:
                looks += 1
                process.send_signal(signal.SIGSTOP)
                loaded, refused = newest_checkpoint(tmp_path)
                assert refused == []
                if loaded is not None:
                    assert loaded.state["updates"] >= newest
                    newest = loaded.state["updates"]
                    assert torch.equal(loaded.weights["w"], torch.full((64, 64), float(newest)))
                process.send_signal(signal.SIGCONT)
                busy_wait(0.003 * (moment + 1))
            process.kill()
    assert newest >= 3


def busy_wait(seconds: float) -> None:
    """Let the other process run for about so long; nothing is asserted about how far it gets."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_restored_optimiser_goes_on_as_if_never_stopped():
    def make():
        torch.manual_seed(0)
        parameter = torch.nn.Parameter(torch.randn(5))
        return parameter, torch.optim.Adam([parameter], 0.1, fused=True)

    def advance(parameter, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()

    straight, optimizer = make()
    advance(straight, optimizer, 10)
    first, optimizer = make()
    advance(first, optimizer, 6)
    stored = {name: tensor.clone() for name, tensor in optimizer_tensors({"a": optimizer}).items()}
    second, fresh = make()
    with torch.no_grad():
        second.copy_(first)
    restore_optimizers({"a": fresh}, stored)
    advance(second, fresh, 4)
    torch.testing.assert_close(second, straight, rtol=0.0, atol=0.0)


def test_one_that_went_on_from_an_older_checkpoint_keeps_what_it_saves(tmp_path):
    save_checkpoint(tmp_path, "0001", checkpoint(1.0), keep=4)
    for value in (10, 11, 12):
        path = save_checkpoint(tmp_path, f"{value:04d}", checkpoint(value), keep=4)
        (path / "state.json").write_text("{")
    loaded, refused = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.state["updates"] == 1 and len(refused) == 3
    save_checkpoint(tmp_path, "0002", checkpoint(2.0), keep=3)
    loaded, refused = newest_checkpoint(tmp_path)
    assert loaded is not None and loaded.state["updates"] == 2
    assert len(refused) > 0


def test_where_none_can_be_used_nothing_is_begun_anew(tmp_path):
    assert newest_checkpoint(tmp_path) == (None, [])
    for value in (1, 2):
        path = save_checkpoint(tmp_path, f"{value:04d}", checkpoint(value), keep=3)
        (path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"none of the 2 checkpoints .* SHA-256.*put a copy back"
    ) as told:
        newest_checkpoint(tmp_path)
    assert told.value.exit_code == 15 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("text", ["[]", "null", "3", '{"schema": 1}', '{"schema": 1, "sha256": 3}'])
def test_a_state_that_is_no_state_is_refused_in_a_line(tmp_path, text):
    path = save_checkpoint(tmp_path, "0001", checkpoint(1.0), keep=3)
    (path / "state.json").write_text(text)
    with pytest.raises(CheckpointError, match="0001 cannot be read"):
        load_checkpoint(path)


def test_one_from_before_the_state_had_a_sum_is_read(tmp_path):
    path = save_checkpoint(tmp_path, "0001", checkpoint(1.0), keep=3)
    document = json.loads((path / "state.json").read_text())
    del document["sha256"]["state"]
    (path / "state.json").write_text(json.dumps(document))
    assert load_checkpoint(path).state["updates"] == 1
