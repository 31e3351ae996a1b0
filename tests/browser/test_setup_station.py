"""A person sets a station up: checks it, drags a crop, guides the arm to corners, and saves all of it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from console_hand import guide
from console_page import Person
from console_run import Kept
from playwright.sync_api import Browser, Error, Route, expect

from handrail.launch import compose, runs
from handrail.launch.bench.console_side import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = ("task=ram_insertion_cameras", "env.cameras=[{name: wrist, width: 64, height: 64}]")
_TABS_IN_SIGHT = """() => [...document.querySelectorAll(".setup-tabs button")].every(
    node => node.getBoundingClientRect().bottom <= innerHeight)"""

_NOT_LOST = """() => document.querySelector("#driver").dataset.driver !== "human"
    || !document.querySelector(".setup-guide .driving").hasAttribute("data-lost")"""


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    """A run that nobody drives, and its console."""
    folder = tmp_path_factory.mktemp("cell")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compose.SEARCH_PATH, raising=False)
        patch.chdir(folder)
        run = runs.create("cell", str(folder / "runs"), compose.compose(WORDS), WORDS)
        with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
            yield Kept(run, console)


@pytest.fixture(scope="module")
def olga(cell: Kept, come_in: Callable[..., Person]) -> Person:
    """The operator, who has taken the lease and sets the station up."""
    olga = come_in(cell.console)
    olga.claim()
    olga.go("setup")
    return olga


@pytest.fixture(scope="module")
def vera(cell: Kept, come_in: Callable[..., Person]) -> Person:
    """Somebody who looks on from a tablet."""
    vera = come_in(cell.console, "viewer", "Vera", width=1024, height=768, touch=True)
    vera.go("setup")
    return vera


@pytest.fixture(scope="module")
def rigged(olga: Person) -> Person:
    """Olga, once the arm is there to be guided."""
    olga.page.click("button[data-job=rig]")
    expect(olga.page.locator(".setup-guide")).to_be_visible()
    return olga


def saved(cell: Kept) -> dict[str, Any]:
    """What the station's file says of the environment."""
    folder: Path = cell.run.path.parent.parent / "conf" / "station"
    return yaml.safe_load((folder / "sim_panda_setup.yaml").read_text())["env"]


def test_whoever_looks_on_sees_the_checks_as_they_are_made(olga: Person, vera: Person) -> None:
    seen = vera.part("preflight")
    mine = olga.part("preflight")
    expect(seen.locator(".summary")).to_have_text("Not checked yet.")
    olga.page.click("button[data-job=preflight]")
    expect(seen.locator("li[data-check=disk]")).to_be_attached()
    expect(mine.locator(".summary")).to_contain_text("Ready:")
    expect(seen.locator(".summary")).to_have_text(mine.locator(".summary").inner_text())
    assert seen.locator("li").all_inner_texts() == mine.locator("li").all_inner_texts()
    # Begun anew: none of the lines of before, and none of them twice.
    before = [person.page.locator("li[data-check=disk]").element_handle() for person in (olga, vera)]
    olga.page.click("button[data-job=preflight]")
    for person, old in zip((olga, vera), before, strict=True):
        person.page.wait_for_function("node => !node.isConnected", arg=old)
        expect(person.page.locator("#preflight .summary")).to_contain_text("Ready:")
        expect(person.page.locator("li[data-check=disk]")).to_have_count(1)


def test_the_parts_and_the_whole_picture_are_in_the_window(rigged: Person, vera: Person) -> None:
    for person in (rigged, vera):
        expect(person.page.locator(".setup-guide")).to_be_visible()
        assert person.page.evaluate(_TABS_IN_SIGHT)
        stage = person.part("crop").locator(".crop-stage")
        expect(stage).to_be_visible()
        box, window = stage.bounding_box(), person.page.viewport_size
        assert box is not None and window is not None
        assert box["y"] + box["height"] <= window["height"]
        assert box["width"] / box["height"] == pytest.approx(4 / 3, rel=0.01), "as the camera has it"


def test_a_crop_is_dragged_and_saved(cell: Kept, rigged: Person) -> None:
    crop, page = rigged.part("crop"), rigged.page
    expect(crop.locator(".crop-cover")).to_be_hidden()
    box = crop.locator(".crop-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.75 * box["height"], steps=5)
    page.mouse.up()
    expect(page.locator("button[data-part=crop]")).to_contain_text("● 1")
    left = crop.locator("[name=crop-left]")
    dragged = int(left.input_value())
    crop.locator(".crop-rect").press("ArrowRight")
    expect(left).to_have_value(str(dragged + 1))
    sides = [
        int(crop.locator(f"[name=crop-{side}]").input_value()) for side in ("left", "top", "width", "height")
    ]
    assert sides[:2] == pytest.approx([161, 120], abs=3) and sides[2] == sides[3] == pytest.approx(240, abs=3)
    rigged.part("save")
    rigged.act("save-station").click()
    rigged.expect_message("Saved")
    assert saved(cell)["cameras"] == [{"name": "wrist", "view": "", "width": 64, "height": 64, "crop": sides}]


def grip(person: Person) -> None:
    """Hold Shift down until the arm follows; a hand that was lost for a moment presses again."""
    for _ in range(10):
        person.page.keyboard.down("Shift")
        with suppress(AssertionError):
            expect(person.page.locator("#driver")).to_have_attribute("data-driver", "human", timeout=3000)
            return
        person.page.keyboard.up("Shift")
    raise AssertionError("the arm does not follow")


def test_a_hand_that_was_lost_is_asked_to_let_go(rigged: Person) -> None:
    hint, page = rigged.page.locator(".setup-guide .hint"), rigged.page
    rigged.part("workspace")
    rigged.drive()
    grip(rigged)
    assert page.evaluate(_NOT_LOST), "that drives"
    page.evaluate("() => { const end = performance.now() + 700; while (performance.now() < end); }")
    expect(hint).to_contain_text("Your hand was not heard for a moment")
    expect(page.locator("#driver .reason")).to_contain_text("let go, then take over again")
    rigged.expect_driver("hold")
    page.keyboard.up("Shift")
    expect(hint).to_contain_text("Shift drives and holds still")
    grip(rigged)
    page.keyboard.up("Shift")
    rigged.let_go()


def test_a_workspace_is_guided_by_the_keyboard_and_saved(cell: Kept, rigged: Person) -> None:
    workspace, page = rigged.part("workspace"), rigged.page
    rigged.drive()
    guide(rigged, "war", ("x", 1, 60.0), ("y", 1, 60.0), ("z", 1, 110.0))
    expect(workspace.locator(".corners li")).to_have_count(1)
    guide(rigged, "sd", ("x", -1, 60.0), ("y", -1, 60.0))
    expect(workspace.locator(".verdict")).to_contain_text("✓ A box of")
    rigged.let_go()
    shown = [
        [
            float(workspace.locator(f"tr[data-axis={axis}] td[data-column={side}]").inner_text())
            for axis in "xyz"
        ]
        for side in ("low", "high")
    ]
    rigged.part("save")
    expect(page.locator("#save")).to_contain_text("workspace_low_m")
    rigged.act("save-station").click()
    expect(page.locator("#save")).to_contain_text("Saved to")
    env = saved(cell)
    cameras = env.get("cameras", [{"crop": "none was saved before"}])
    assert cameras[0]["crop"] is not None, "a second save keeps what it does not change"
    limits = env["limits"]
    for side, known in zip(("low", "high"), shown, strict=True):
        assert [1000 * each for each in limits[f"workspace_{side}_m"]] == pytest.approx(known, abs=0.1)
    assert limits["workspace_low_m"][2] == pytest.approx(-0.01), "the room beneath the seated pose"
    command = page.locator(".command").inner_text()
    assert "handrail train station=sim_panda_setup" in command


def test_the_set_up_ends_from_the_page(rigged: Person, vera: Person) -> None:
    rigged.act("stop-rig").click()
    expect(vera.page.locator(".setup-station .chip")).to_contain_text("at rest")
    expect(rigged.page.locator("button[data-job=rig]")).to_be_visible()


def test_facts_that_come_late_are_waited_for(olga: Person) -> None:
    """The page is told of examples before it knows what there is to set up."""
    olga.part("capture")
    held: list[Route] = []
    olga.page.route("**/api/setup", lambda route: held.append(route))
    with olga.page.expect_response("**/api/setup/examples*"):
        olga.page.reload()
    olga.wait_connected()
    for route in held:
        with suppress(Error):  # that of the page before is nobody's any more
            route.continue_()
    olga.page.unroute("**/api/setup")
    expect(olga.page.locator("[data-count=episodes]")).to_contain_text("0 of 10")
    # What the page complains of fails the test.
