"""A session lets go of what it takes, and takes nothing that nobody asks for."""

import threading
from pathlib import Path

import pytest

from handrail.agent.config import ActorConfig, RunConfig
from handrail.agent.session import AT_THE_PAGE, Session
from handrail.intervention.console.messages import Watch
from handrail.intervention.log_format import EpisodeEnd
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Transition


def host_watches() -> int:
    return sum(thread.name == "host-watch" for thread in threading.enumerate())


@pytest.mark.parametrize("real_time", [True, False])
def test_however_often_it_drives_the_host_is_watched_once_and_only_in_real_time(
    real_time: bool, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    before, watches = host_watches(), []
    with Session(run, RunConfig()) as session:

        def look_on(transition: Transition | None = None) -> bool:
            session.console.eyes.watch(Watch(fps=0.0, real_time=real_time))
            watches.append(host_watches() - before)
            return transition is None or transition.step < 2

        look_on()
        for _ in range(3):
            ends: list[EpisodeEnd] = []
            session.drive(
                None,
                "demo",
                wanted=lambda ends=ends: not ends,
                between_steps=look_on,
                after_episode=ends.append,
            )
        assert watches == [0] + [int(real_time)] * 9
    assert host_watches() == before


def test_no_demonstration_begins_while_nobody_at_the_page_is_about_to_drive(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    resets: list[int] = []
    waited: list[str] = []
    ends: list[EpisodeEnd] = []
    config = RunConfig(actor=ActorConfig(device="console"))
    with Session(run, config) as session:
        reset = session.env.reset
        session.env.reset = lambda **how: resets.append(len(waited)) or reset(**how)  # type: ignore[method-assign]
        drives = Watch(fps=0.0, real_time=True)

        def on_hold(reason: str) -> None:
            waited.append(reason)
            if len(waited) == 5:
                session.console.eyes.watch(drives)  # as the page does once Drive is pressed

        def between_steps(transition: Transition) -> bool:
            return transition.step < 2

        session.drive(
            None,
            "demo",
            wanted=lambda: not ends,
            between_steps=between_steps,
            after_episode=ends.append,
            on_hold=on_hold,
        )
    assert waited == [AT_THE_PAGE] * 5
    assert resets == [5]


def test_waiting_for_a_hand_ends_with_the_session(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    waited: list[str] = []
    with Session(run, RunConfig(actor=ActorConfig(device="console"))) as session:
        session.drive(
            None,
            "demo",
            wanted=lambda: len(waited) < 3,
            between_steps=lambda _: True,
            on_hold=waited.append,
        )
        assert session.history.next_episode == 0
    assert len(waited) == 3
