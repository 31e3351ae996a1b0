"""A part is taken anew from the page: asked for, talked through, stopped in the middle, and gone on with."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from benches.served import RunningServer
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import Browser, expect

from handrail.intervention.console.messages import Now
from handrail.launch.compose import compose
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.regrasp import PROMPTS, RegraspPhase
from handrail.robot_env.sim.cell import CellState, SimCell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = (
    "arm=sim_server",
    "env.regrasp.grasp_pose=[0,0.03,0.03,0,0,0]",
    "env.regrasp.settle_s=0.1",
    # The simulated robot shares the test's process, and the machine is others' too.
    "env.arm.server.reading_age_s=2",
    "env.arm.server.watchdog_s=2",
)
OPEN_M = 0.08


class Jaws:
    """They are where they are told to be at once, and find a module whenever they close."""

    def __init__(self, module_m: float) -> None:
        self.calls: list[str] = []
        self.width_m = self._module_m = module_m

    def open(self) -> None:
        self.calls.append("open")
        self.width_m = OPEN_M

    def close(self) -> None:
        self.calls.append("close")
        self.width_m = self._module_m

    def move(self, width_m: float, force_n: float) -> None:
        self.open() if width_m > self._module_m else self.close()


class Cell(SimCell):
    """The simulated cell with jaws that open."""

    jaws: Jaws | None = None

    def read(self) -> CellState:
        state = super().read()
        self.jaws = self.jaws or Jaws(state.gripper_width_m)
        return replace(state, gripper_width_m=self.jaws.width_m)


class Station:
    """A run at a station where a module can be taken anew."""

    def __init__(self, live: ConsoleRun, jaws: Jaws) -> None:
        self.live, self.jaws = live, jaws

    def told(self, phase: RegraspPhase) -> Now:
        """Wait until the procedure is there."""
        said = PROMPTS[phase]
        return self.live.heard.until(lambda now: now.driver == "regrasp" and now.reason == said, said)


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Station]:
    env = compose([*WORDS]).config.env
    cell = Cell(env.sim)
    driver = SimDriver(cell)
    assert cell.jaws is not None
    driver.gripper = cell.jaws
    server = RunningServer(driver, env)
    try:
        address = f"env.arm.server.address={server.config.arm.server.address}"
        run = ConsoleRun(tmp_path_factory.mktemp("station"), *WORDS, address)
        try:
            run.heard.until(lambda now: now.running and "regrasp" in now.can, "an episode")
            yield Station(run, cell.jaws)
        finally:
            run.close()
    finally:
        server.close()


@pytest.fixture(scope="module")
def olga(station: Station, come_in: Callable[..., Person]) -> Person:
    person = come_in(station.live)
    person.claim()
    return person


def ask(station: Station, olga: Person, how: str) -> int:
    """Ask for a module to be taken anew, and end the episode; which one it was."""
    episode = station.live.heard.until(lambda now: now.running, "an episode").episode
    olga.press("g") if how == "key" else olga.verb("regrasp").click()
    olga.expect_message("A part will be taken anew")
    olga.ask_raw("reset", episode=episode)
    return episode


def say(olga: Person, phase: RegraspPhase) -> None:
    """The banner says what the operator is to do."""
    olga.expect_driver("regrasp")
    expect(olga.page.locator("#driver")).to_contain_text("REGRASP")
    expect(olga.page.locator("#driver")).to_contain_text(PROMPTS[phase])


@pytest.mark.parametrize("how", ["key", "button"])
def test_a_module_is_taken_anew_prompt_by_prompt(station: Station, olga: Person, how: str) -> None:
    station.jaws.calls.clear()
    go_on = olga.verb("acknowledge")
    expect(go_on).to_be_hidden()
    episode = ask(station, olga, how)
    station.told(RegraspPhase.RELEASE)
    say(olga, RegraspPhase.RELEASE)
    assert station.jaws.calls == []  # it waits, whatever its time
    go_on.click() if how == "button" else olga.press("Enter")
    station.told(RegraspPhase.PLACE)
    say(olga, RegraspPhase.PLACE)
    assert station.jaws.calls == ["open"]
    go_on.click() if how == "button" else olga.press("Enter")
    station.told(RegraspPhase.DESCEND)
    now = station.live.heard.until(lambda now: now.running, "the next episode")
    assert now.episode > episode and station.jaws.calls == ["open", "close"]
    expect(go_on).to_be_hidden()


def test_a_stop_ends_the_dialogue_and_resuming_begins_it_anew(station: Station, olga: Person) -> None:
    station.jaws.calls.clear()
    ask(station, olga, "key")
    station.told(RegraspPhase.RELEASE)
    olga.press("Space")
    station.live.heard.until(lambda now: now.driver == "held" and now.paused, "a stop")
    olga.expect_driver("held")
    (answer,) = olga.ask_raw("acknowledge")
    assert answer["status"] == "refused" and "nothing to acknowledge" in answer["why"]
    assert station.jaws.calls == []
    olga.press("p")
    station.told(RegraspPhase.RELEASE)
    for phase in (RegraspPhase.PLACE, RegraspPhase.DESCEND):
        olga.press("Enter")
        station.told(phase)
    station.live.heard.until(lambda now: now.running, "the next episode")
    assert station.jaws.calls == ["open", "close"]
