"""Pictures that a run keeps of its cameras refuse exchanged ones, and are never in the way otherwise."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from emulators.camera import Still

from handrail.robot_env.cameras.config import CameraConfig, CameraDeviceConfig
from handrail.robot_env.cameras.references import FirstLook, References
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.errors import CameraError

SERIALS = {"left": "S1", "right": "S2"}


def scene(kind: str, light: float = 1.0, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """(H, W, 3) uint8: stripes, upright for the left camera and level for the right one, with noise."""
    down, right = np.mgrid[: size[0], : size[1]]
    across = right if kind == "left" else down
    grey = 120.0 + 60.0 * np.sign(np.sin(across / 12.0)) + np.random.default_rng(0).normal(0, 4, size)
    return np.clip(light * grey, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def checks() -> np.ndarray:
    """(240, 320, 3) uint8: a board at an angle."""
    down, right = np.mgrid[:240, :320]
    grey = 120.0 + 60.0 * np.sign(np.sin((down + right) / 12.0))
    return grey.astype(np.uint8)[..., None].repeat(3, 2)


def both(light: float = 1.0) -> dict[str, np.ndarray]:
    return {name: scene(name, light) for name in SERIALS}


def test_kept_pictures_refuse_exchanged_cameras_naming_serials_and_remedies(tmp_path: Path) -> None:
    file = tmp_path / "cameras.npz"
    References(file).check(both(), SERIALS, "")  # nothing is known yet
    References(file).keep(both())
    known = References(file)
    known.check(both(light=0.5), SERIALS, "delete it")
    with pytest.raises(CameraError) as refusal:
        known.check({"left": scene("right", 0.5), "right": scene("left", 0.5)}, SERIALS, "delete it")
    said = str(refusal.value)
    for part in ("left (S1)", "right (S2)", "env.camera_devices", "mount them as they were", "delete it"):
        assert part in said
    assert "\n" not in said and [each.name for each in tmp_path.iterdir()] == ["cameras.npz"]
    known.check({"left": scene("right")}, SERIALS, "")  # one camera alone may have been turned


def test_three_in_a_circle_are_told_in_one_line_with_the_serial_of_each(tmp_path: Path) -> None:
    known = {"front": scene("left"), "left": scene("left").swapaxes(0, 1)[:, :240], "top": checks()}
    file = tmp_path / "cameras.npz"
    References(file).keep(known)
    now = {"front": known["left"], "left": known["top"], "top": known["front"]}
    named = {"front": "S1", "left": "S2", "top": "S3"}
    with pytest.raises(CameraError) as refusal:
        References(file).check(now, named, "delete it")
    said = str(refusal.value)
    for part in (
        "cameras front (S1), left (S2) and top (S3) look exchanged",
        "front shows what left showed before, left what top showed, top what front showed",
        "give front the serial S3, left the serial S1, top the serial S2 in env.camera_devices",
    ):
        assert part in said
    assert "\n" not in said
    References(file).check(known, named, "")


def test_one_that_was_turned_is_not_exchanged(tmp_path: Path) -> None:
    file = tmp_path / "cameras.npz"
    References(file).keep(both())
    References(file).check({"left": scene("right"), "right": scene("right")}, SERIALS, "")


def test_only_what_is_lacking_is_added_unless_all_is_to_be_new(tmp_path: Path) -> None:
    file = tmp_path / "cameras.npz"
    References(file).keep({"left": scene("left")})
    References(file).keep({"left": scene("right"), "side/2": scene("right")})
    kept = References(file).pictures
    assert set(kept) == {"left", "side/2"} and not (kept["left"] == kept["side/2"]).all()
    References(file, anew=True).keep({"left": scene("right")})
    again = References(file).pictures
    assert set(again) == {"left"} and (again["left"] == kept["side/2"]).all()


@pytest.mark.parametrize("rubbish", [b"", b"PK\x03\x04 torn", np.zeros(3).tobytes()])
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, rubbish: bytes) -> None:
    file = tmp_path / "cameras.npz"
    file.write_bytes(rubbish)
    References(file).check(both(), SERIALS, "")
    References(file).keep(both())
    assert set(References(file).pictures) == set(SERIALS)


def test_a_torn_copy_of_a_good_file_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "cameras.npz"
    References(file).keep(both())
    whole = file.read_bytes()
    file.write_bytes(whole[:200] + b"\0" * 50 + whole[250:])
    References(file).check(both(), SERIALS, "")
    np.savez(file, left=np.zeros((2, 2), np.uint8))
    assert References(file).pictures == {}


def test_whatever_bit_of_it_was_flipped_no_reader_is_in_the_way(tmp_path: Path) -> None:
    """Where the bytes are headers, readers of zip files and of arrays fail in ways of their own."""
    file = tmp_path / "cameras.npz"
    References(file).keep(both())
    whole, kept = file.read_bytes(), References(file).pictures
    rng = np.random.default_rng(0)
    headers = [*range(200), *range(len(whole) - 400, len(whole))]
    for at, bit in zip(rng.choice(headers, 800), rng.integers(8, size=800), strict=True):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(bit)
        file.write_bytes(flipped)
        found = References(file).pictures
        assert all((found[name] == kept[name]).all() for name in SERIALS if name in found)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def views(stack: ExitStack, shows: dict[str, str]) -> list:
    """Open images of two still cameras, by device."""
    pytest.importorskip("cv2", reason="needs the extra 'opencv'")
    from handrail.robot_env.cameras.view import CroppedView

    made = []
    for name, kind in shows.items():
        device = CameraDeviceConfig(name=name, serial=SERIALS[name], width=320, height=240, max_age_s=2.0)
        still = stack.enter_context(Still(device, scene(kind)))
        view = CroppedView(FrameStream(device, still.driver), CameraConfig(f"image_{name}", name, 32, 32))
        view.open()
        stack.callback(view.close)
        made.append(view)
    return made


def test_a_session_s_first_look_keeps_then_compares_and_goes_on_comparing_until_it_is_right(
    tmp_path: Path, stack: ExitStack
) -> None:
    file = tmp_path / "cameras.npz"
    first = FirstLook(views(stack, {"left": "left", "right": "right"}), file)
    first.at_rest()
    first()
    assert list(tmp_path.iterdir()) == []  # a look is part of a reset, which waits for no disk
    first.at_rest()
    assert set(References(file).pictures) == set(SERIALS)
    kept = file.read_bytes()
    look = FirstLook(views(stack, {"left": "right", "right": "left"}), file)
    for _ in range(2):
        with pytest.raises(
            CameraError, match=r"left \(S1\) and right \(S2\) look exchanged.* delete .*cameras\.npz"
        ):
            look()
        look.at_rest()
    again = FirstLook(views(stack, {"left": "left", "right": "right"}), file)
    again()
    again.at_rest()
    assert file.read_bytes() == kept
    file.unlink()  # as the refusal says, where they are right as they are now
    look.at_rest()
    look()
    look.at_rest()
    assert (References(file).pictures["left"] != References(file).pictures["right"]).any()
    assert file.read_bytes() != kept


def test_a_disk_that_refuses_stops_no_session(tmp_path: Path, stack: ExitStack) -> None:
    for look in (
        FirstLook(views(stack, {"left": "left", "right": "right"}), tmp_path / "nowhere" / "cameras.npz"),
        FirstLook([], tmp_path / "cameras.npz"),  # simulated cameras, or none
    ):
        look()
        look.at_rest()
    assert list(tmp_path.iterdir()) == []
