"""A control loop and a console's end of its two sockets: the real session, the simulated cell, real time."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq
from console_end import BY_NOBODY, Console

from handrail.agent.config import ActorConfig
from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import Left, Live, feed_address
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_format import HALTS
from handrail.intervention.log_reader import LogReader, iter_transitions
from handrail.intervention.transition import Source


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    made = Console(tmp_path)
    yield made
    made.close()


def test_what_happens_is_told_as_it_happens(console: Console) -> None:
    now = console.running()
    assert (now.run_id, now.purpose, now.driver, now.most_steps) == ("r", "train", "policy", 100)
    assert now.real_time and not now.paused and len(now.pose) == 7
    assert {"success", "failure", "discard", "reset", "pause", "stop", "label"} <= set(now.can)
    assert "resume" not in now.can and "regrasp" not in now.can
    episode = now.episode
    assert console.desk.ask("reset", "ada", episode=episode).status == "done"
    console.until(lambda: episode in console.ended and console.now and console.now.episode == episode + 1)
    steps = console.steps[episode]
    assert steps == list(range(steps[0], steps[0] + len(steps)))
    assert console.ended[episode].truncated_by == "abandoned" and not console.ended[episode].success
    stored = [
        each for _, each in iter_transitions(LogReader(console.run.segments)) if each.episode == episode
    ]
    assert stored and {each.value for each in stored} == {0.25}  # what the critics thought of each proposal


@pytest.mark.parametrize(
    ("verb", "success", "label"),
    [("success", True, "success"), ("failure", False, "failure"), ("discard", False, "exclude")],
)
def test_a_verdict_ends_the_episode_and_is_the_operators_by_name(
    console: Console, verb, success: bool, label: str
) -> None:
    episode = console.running().episode
    assert console.desk.ask(verb, "ada", episode=episode).status == "done"
    console.until(lambda: episode in console.ended)
    assert console.ended[episode].success is success
    with EpisodeIndex(console.run.index_file, LogReader(console.run.segments)) as index:
        index.refresh()
        row = index.episode(episode)
        assert row is not None and row.label == label
        assert [event.who for _, event in index.events(episode)] == ["ada"]


def test_a_verdict_on_another_episode_is_refused(console: Console) -> None:
    episode = console.running().episode
    ack = console.desk.ask("success", "ada", episode=episode + 5)
    assert ack.status == "refused" and str(episode) in ack.why
    assert console.desk.ask("success", "ada").status == "refused"  # which one was not said


def test_pausing_stands_still_until_resumed_and_gives_a_long_paused_episode_up(console: Console) -> None:
    episode = console.running().episode
    assert console.desk.ask("pause", "ada").status == "done"
    assert console.desk.ask("pause", "ada").status == "done"  # twice is once
    console.until(lambda: console.now and console.now.paused)
    console.until(lambda: console.now and console.now.driver == "held")
    assert console.now and "resume" in console.now.can and not console.now.running
    console.until(lambda: episode in console.ended)
    assert console.ended[episode].truncated_by == "abandoned"
    assert console.desk.ask("success", "ada", episode=episode).status == "refused"
    assert console.desk.ask("resume", "ada").status == "done"
    console.until(lambda: console.now and console.now.running and console.now.episode == episode + 1)


def test_somebody_drives_from_the_console_and_the_steps_are_human(console: Console) -> None:
    episode = console.running(steps=3).episode
    console.drive()
    console.until(lambda: console.now and console.now.driver == "human" and console.now.step > 8)
    assert console.now and console.now.hand == "ada"
    console.drive(twist=(0.0,) * 6, on=False)
    console.until(lambda: console.now and console.now.driver != "human")
    console.hand = None
    assert console.desk.ask("failure", "ada", episode=episode).status == "done"
    console.until(lambda: episode in console.ended)
    steps = [each for _, each in iter_transitions(LogReader(console.run.segments)) if each.episode == episode]
    human = [each for each in steps if each.source is Source.HUMAN]
    assert len(human) >= 4 and console.ended[episode].takeovers == 1
    # Up is up in the base's frame, whatever way the tool points: the tool of this cell points down.
    assert all(each.action[2] < -0.3 for each in human[1:-1])
    assert human[-1].next_observation[2] > human[0].observation[2]


def test_a_console_that_dies_while_it_drives_holds_the_arm(console: Console) -> None:
    console.running(steps=2)
    console.drive()
    console.until(lambda: console.now and console.now.driver == "human")
    console.hand = None  # nothing comes any more
    console.until(lambda: console.now and console.now.driver == "hold" and console.now.running)
    assert console.now and "let go" in console.now.reason


def test_a_finished_episode_is_relabelled_and_commented_while_the_loop_runs(console: Console) -> None:
    episode = console.running().episode
    ack = console.desk.ask("label", "ada", episode=episode, label="success")
    assert ack.status == "refused" and "still running" in ack.why
    console.desk.ask("failure", "ada", episode=episode)
    console.until(lambda: episode in console.ended and console.running())
    assert console.desk.ask("label", "bob", episode=episode, label="success", why="seated").status == "done"
    assert console.desk.ask("label", "bob", episode=episode, label="success", why="seated").status == "done"
    assert console.desk.ask("comment", "bob", episode=episode, why="a click was heard").status == "done"
    assert "nonsense" in console.desk.ask("label", "bob", episode=episode, label="nonsense").why
    assert "not in the log" in console.desk.ask("label", "bob", episode=10_000, label="failure").why
    with EpisodeIndex(console.run.index_file, LogReader(console.run.segments)) as index:
        index.refresh()
        events = [(event.kind, event.who, event.new, event.why) for _, event in index.events(episode)]
    assert events == [
        ("label", "ada", "failure", ""),
        ("label", "bob", "success", "seated"),
        ("comment", "bob", None, "a click was heard"),
    ]


def test_pictures_come_while_somebody_watches_and_only_then(console: Console) -> None:
    now = console.running()
    assert now.cameras == ("overview", "side") and not console.pictures
    console.fps = 10.0
    console.until(
        lambda: len({head.camera for head, _ in console.pictures}) == 2 and len(console.pictures) > 6
    )
    heads = [head for head, _ in console.pictures if head.camera == "overview"]
    assert [head.sequence for head in heads] == list(range(len(heads)))
    head, pixels = console.pictures[-1]
    image = np.frombuffer(pixels, np.uint8).reshape(head.shape)
    assert image.shape == (240, 320, 3) and image.std() > 10
    assert 0 <= time.monotonic_ns() - head.t_ns < 30e9


def test_a_simulation_runs_ahead_unless_somebody_wants_real_time(tmp_path: Path) -> None:
    console = Console(tmp_path)
    try:
        console.real_time = False
        console.until(lambda: len(console.ended) >= 2)
        assert console.now and not console.now.real_time
        console.real_time = True
        console.until(lambda: console.now and console.now.real_time)
    finally:
        console.close()


def test_a_stop_pauses_whoever_drives(console: Console) -> None:
    console.running(steps=2)
    console.drive()
    console.until(lambda: console.now and console.now.driver == "human")
    assert console.desk.ask("stop", "bob", issued_ns=0).status == "done"
    console.until(lambda: console.now and console.now.paused and console.now.driver in ("hold", "held"))


def test_who_paused_and_who_stopped_is_told_and_kept(console: Console) -> None:
    def told(driver: str, stopped: bool, by: str, reason: str) -> None:
        wanted = (driver, stopped, by, reason)
        console.until(
            lambda: (
                console.now
                and wanted
                == (console.now.driver, console.now.stopped, console.now.halted_by, console.now.reason)
            )
        )

    episode = console.running(steps=2).episode
    assert console.desk.ask("pause", "ada").status == "done"
    told("hold", False, "ada", "paused by ada")
    assert console.desk.ask("pause", "bob").status == "done"  # paused it is already, and by ada
    assert console.desk.ask("stop", "bob").status == "done"
    told("hold", True, "bob", "stopped by bob")
    console.until(lambda: episode in console.ended)  # given up
    told("held", True, "bob", "stopped by bob")
    assert console.desk.ask("resume", "ada").status == "done"
    console.until(lambda: console.now and console.now.running)
    assert console.now and (console.now.stopped, console.now.halted_by) == (False, "")
    with EpisodeIndex(console.run.index_file, LogReader(console.run.segments)) as index:

        def said() -> list[tuple[str, str]]:
            index.refresh()
            return [(event.kind, event.who) for _, event in index.events(episode) if event.kind in HALTS]

        console.until(lambda: len(said()) >= 3)
        assert said() == [("paused", "ada"), ("stopped", "bob"), ("resumed", "ada")]
        row = index.episode(episode)
        assert row is not None and row.operator not in ("ada", "bob"), "who stops an arm does not operate it"


def test_a_control_loop_that_ends_as_it_was_told_to_says_so(tmp_path: Path) -> None:
    console = Console(tmp_path)
    with FeedReader(feed_address(console.run.socket_dir())).socket as socket:
        socket.setsockopt(zmq.SUBSCRIBE, b"live")
        boot = console.running().boot
        console.close()
        assert socket.poll(20_000)
        live = msgspec.msgpack.Decoder(Live)
        while not isinstance(last := live.decode(socket.recv_multipart()[1]), Left):
            assert socket.poll(20_000), "the last word"
    assert last.boot == boot


def test_what_an_arm_is_driven_by_does_not_depend_on_a_console(tmp_path: Path) -> None:
    """The same seed, with and without somebody who looks on, comes to the same log."""
    config = dataclasses.replace(BY_NOBODY, actor=ActorConfig(demonstrations=0))
    logs = []
    for watched in (False, True):
        folder = tmp_path / str(watched)
        folder.mkdir()
        console = Console(folder, config)
        console.real_time, console.fps = False, 10.0 if watched else 0.0
        try:
            console.until(lambda console=console: len(console.ended) >= 2, 60.0)
        finally:
            console.close()
        logs.append(
            [each for _, each in iter_transitions(LogReader(console.run.segments)) if each.episode < 2]
        )
    assert len(logs[0]) == len(logs[1]) > 20
    for alone, seen in zip(*logs, strict=True):
        np.testing.assert_array_equal(alone.action, seen.action)
        np.testing.assert_array_equal(alone.next_observation, seen.next_observation)


def test_a_stop_before_anything_moves_is_kept_and_so_is_a_pause_between_two_phases(tmp_path: Path) -> None:
    """A run waits for its first weights for minutes, with nobody to look at the buttons."""
    console = Console(tmp_path, begins=threading.Event())
    try:
        console.until(lambda: console.now and console.now.driver == "waiting")
        assert console.desk.ask("pause", "ada").status == "done"
        console.begins.set()
        console.until(lambda: console.now and console.now.driver == "held" and console.now.paused)
        assert console.now and console.now.episode == -1  # not even a reset
        console.drives_again()
        console.until(lambda: console.now and console.now.purpose == "demo")
        assert console.now.driver == "held" and console.now.paused
        assert console.desk.ask("resume", "ada").status == "done"
        console.until(lambda: console.now and console.now.running)
    finally:
        console.close()


def test_a_label_by_a_reviewer_is_nobody_at_the_arm(console: Console) -> None:
    console.until(lambda: len(console.ended) >= 1)
    assert console.session is not None and not console.session.console.attended
    assert console.desk.ask("label", "ada", episode=min(console.ended), label="exclude").status == "done"
    assert not console.session.console.attended
    assert console.desk.ask("resume", "ada").status == "done"
    assert console.session.console.attended
