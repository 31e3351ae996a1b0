"""What a console is told of a session that holds: who stopped it, or what is to be seen to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.intervention.config import ArbiterConfig
from handrail.intervention.console.hand import Press
from handrail.intervention.console.link import ConsoleLink
from handrail.intervention.hold import RESUME, Reason
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.make import make_env


@pytest.fixture
def link(tmp_path: Path) -> Iterator[ConsoleLink]:
    env = make_env(EnvConfig())
    made = ConsoleLink(RunDirectory(tmp_path / "run").create("", {}), env, ArbiterConfig(), None)
    yield made
    made.close()
    env.close()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason("stop", "any words", RESUME), (True, "bob", "stopped by bob")),
        (Reason("pause", "any words at all", RESUME), (True, "bob", "any words at all")),
        (Reason("incident", "the camera froze", RESUME), (False, "", "the camera froze")),
        (Reason("incident", "a reflex", "see to it"), (False, "", "a reflex; see to it")),
    ],
    ids=["stop", "pause", "incident", "fault"],
)
def test_who_stopped_it_is_told_by_kind_and_never_by_words(
    link: ConsoleLink, reason: Reason, told: tuple[bool, str, str]
) -> None:
    link.halt.asked(Press("stop", "bob"))
    link.hold(reason, paused=True)
    now = link._now
    assert (now.stopped, now.halted_by, now.reason) == told and now.driver == "held" and now.paused


def test_a_stop_by_somebody_who_has_no_console_is_told_in_its_own_words(link: ConsoleLink) -> None:
    link.hold(Reason("stop", "any words", RESUME), paused=True)
    assert (link._now.stopped, link._now.halted_by, link._now.reason) == (False, "", "any words")


def test_elsewhere_the_device_s_buttons_are_named_only_where_the_console_has_not_halted_it(
    link: ConsoleLink,
) -> None:
    """A page has neither a pause nor a success button for what its own people have stopped."""
    at_the_device = Reason("pause", "paused by the operator", RESUME)
    assert link.hold(at_the_device, paused=True) == str(at_the_device)
    link.halt.asked(Press("stop", "bob"))
    assert link.hold(Reason("stop", "any words", RESUME), paused=True) == "stopped by bob"
    recover = Reason("incident", "a reflex", "see to it")
    assert link.hold(recover, paused=True) == str(recover)
