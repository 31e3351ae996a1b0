"""A hand at the page's keyboard, and what the run says of it."""

from collections.abc import Callable
from contextlib import suppress

from console_page import Person
from console_run import ConsoleRun, Witness
from playwright.sync_api import TimeoutError

from handrail.intervention.console.messages import Now, Step
from handrail.intervention.transition import Source

_TRIES = 8
_TRY_S = 5.0
_BEYOND = """goals => goals.every(([axis, way, far]) => {
    const cell = document.querySelector(`#workspace tr[data-axis="${axis}"] td[data-column="tool"]`);
    return way * parseFloat(cell.textContent) > far;
})"""


def human_steps(heard: Witness, episode: int, since: int = 0) -> list[Step]:
    """What the human did in an episode, from a step on."""
    return [
        step for step in heard.steps.get(episode, []) if step.source == Source.HUMAN and step.step >= since
    ]


def by_human(now: Now | None) -> bool:
    """Whether a human drives."""
    return now is not None and now.driver == "human"


def hold_down(live: ConsoleRun, person: Person, key: str, seen: Callable[[Witness], object]) -> None:
    """Hold a key until something is seen. A hand that a slow machine lost for a moment has to begin anew."""
    for _ in range(_TRIES):
        person.page.keyboard.down(key)
        if live.heard.saw(seen, _TRY_S):
            return
        person.page.keyboard.up(key)
        live.heard.until(lambda now: now.driver == "policy", "the policy, after the hand was lost")
    live.heard.wait(seen, f"what {key} should have done", 0.0)


def guide(person: Person, keys: str, *goals: tuple[str, int, float]) -> None:
    """Hold keys down until the tool is so far [mm] along the axes, and take the corner of a workspace.

    A hand that was not heard for a moment has let go of the arm: then one presses again.
    """
    page = person.page
    for _ in range(20):
        for key in keys:
            page.keyboard.down(key)
        with suppress(TimeoutError):
            page.wait_for_function(_BEYOND, arg=goals, timeout=3000)
        for key in keys:
            page.keyboard.up(key)
        if page.evaluate(_BEYOND, goals):
            break
    page.keyboard.press("c")
