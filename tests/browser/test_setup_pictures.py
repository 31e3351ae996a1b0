"""A person says on the set-up page that a real station's cameras are where they belong, and saves a crop."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from console_page import Person
from console_run import Kept
from playwright.sync_api import Browser, expect

from handrail.launch import compose, runs
from handrail.launch.bench.console_side import served
from handrail.robot_env.cameras.references import References

cv2 = pytest.importorskip("cv2", reason="needs the extra 'opencv'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIZE, FPS, LONGEST_S = (96, 72), 4, 300
FACTS = (
    "station=ur_cell",
    "task=ram_insertion_real",
    "env.arm.ur.host=10.0.0.9",
    "env.arm.ur.tcp=[0,0,0.163,0,0,0,1]",
    "env.arm.ur.payload_kg=1.1",
    "env.arm.ur.payload_com_m=[0,0,0.06]",
    "env.task.seated_pose=[0.588,-0.036,0.278,1,0,0,0]",
    "env.regrasp.grasp_pose=[0,-0.06,0,0,0,0]",
    "env.cameras=[{name: left, width: 64, height: 64}, {name: right, width: 64, height: 64}]",
)


def film(path: Path, seed: int) -> str:
    """A camera before a few blocks, for longer than the test takes; as the configuration has it."""
    random = np.random.default_rng(seed)
    scene = random.integers(40, 200, (9, 12), np.uint8).repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), FPS, SIZE)
    for _ in range(FPS * LONGEST_S):
        writer.write(scene + random.integers(0, 4, scene.shape, np.uint8))
    writer.release()
    width, height = SIZE
    return (
        f"{{name: {path.stem}, driver: opencv, serial: '{path}', width: {width}, height: {height}, "
        f"fps: {FPS}, max_age_s: 2.0}}"
    )


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    """A run on a real arm that is switched off, with two cameras, and its console."""
    folder = tmp_path_factory.mktemp("cell")
    devices = ", ".join(film(folder / f"{name}.mkv", seed) for seed, name in enumerate(("left", "right")))
    words = (
        *FACTS,
        f"env.camera_devices=[{devices}]",
        "env.camera_skew_s=1",
        f"env.arm.server.address=ipc://{folder}/off",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compose.SEARCH_PATH, raising=False)
        patch.chdir(folder)
        run = runs.create("cell", str(folder / "runs"), compose.compose(words), words)
        with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
            yield Kept(run, console)


@pytest.fixture(scope="module")
def olga(cell: Kept, come_in: Callable[..., Person]) -> Person:
    """The operator, who has taken the lease and looks at the crops."""
    olga = come_in(cell.console)
    olga.claim()
    olga.go("setup")
    olga.part("crop")
    return olga


def test_pictures_that_are_right_are_kept_once_there_are_any(cell: Kept, olga: Person) -> None:
    right = olga.act("pictures-right")
    expect(right).to_have_attribute("title", "no picture of this camera yet: start the set-up")
    right.click(force=True)  # it stays in the focus order, and says why not
    olga.expect_message("Not possible: no picture of this camera yet")
    assert not cell.run.camera_pictures.exists()
    olga.page.click("button[data-job=rig]")
    expect(right).not_to_have_attribute("aria-disabled", "true")
    expect(olga.page.locator("#crop .crop-cover")).to_be_hidden()
    right.click()
    olga.expect_message("Kept, to know exchanged cameras by: what left, right show now.")
    assert set(References(cell.run.camera_pictures).pictures) == {"left", "right"}


def test_a_crop_is_saved_with_them(cell: Kept, olga: Person) -> None:
    frame = olga.part("crop").locator(".crop-rect")
    frame.press("Shift+ArrowLeft")
    olga.part("save")
    olga.act("save-station").click()
    olga.expect_message("with pictures of left, right to know exchanged cameras by")
    file = cell.run.path.parent.parent / "conf" / "station" / "ur_cell_setup.cameras.npz"
    assert set(References(file).pictures) == {"left", "right"}
