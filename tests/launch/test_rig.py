"""A rig shows whole pictures and the tool's pose, follows a hand, records nothing, and drives no real arm."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from arm_process import configured, spawn

from handrail.intervention.console.client import DeskClient
from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.hand import SILENT
from handrail.intervention.console.messages import FrameHead, Hand, Now, Watch, feed_address
from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.driven import driven
from handrail.launch.rig import about as rig_about
from handrail.launch.rig import command as rig
from handrail.launch.rig.arm import HZ, ArmLook, GuidedArm, WatchedArm
from handrail.launch.rig.cameras import PhysicalCameras
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError, RenderingUnavailable
from handrail.robot_env.geometry import pose_distance
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim import gl

PATIENCE_S = 30.0


@pytest.fixture
def _drawing() -> None:
    """Skip where no library can render, with its own words."""
    try:
        gl.choose_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))


class Onlooker:
    """A console's end of a rig's sockets."""

    def __init__(self, run: RunDirectory) -> None:
        self.desk = DeskClient(run.socket_dir())
        self._reader = FeedReader(feed_address(run.socket_dir()))
        self.frames: dict[str, tuple[FrameHead, bytes]] = {}
        self._sequence = 0

    def until(self, holds: Callable[[Now], bool], drive: tuple[float, ...] | None = None) -> Now:
        """The first state for which `holds`, with the hand held like `drive` meanwhile, and then let go."""
        try:
            return self._until(holds, drive)
        finally:
            if drive is not None:
                self._feel((0.0,) * 6, drives=False)

    def _feel(self, twist: tuple[float, ...], drives: bool) -> None:
        self._sequence += 1
        hand = Hand("Ada", self._sequence, time.monotonic_ns(), twist, drives)  # pyright: ignore[reportArgumentType]
        self.desk.send(hand)

    def _until(self, holds: Callable[[Now], bool], drive: tuple[float, ...] | None) -> Now:
        deadline_s = time.monotonic() + PATIENCE_S
        newest = None
        while time.monotonic() < deadline_s:
            self.desk.send(Watch(fps=20.0))
            if drive is not None:
                self._feel(drive, drives=True)
            for message in self._reader.poll(0.02):
                if isinstance(message, Now):
                    newest = message
                    if holds(message):
                        return message
                elif isinstance(message, tuple):
                    self.frames[message[0].camera] = message
        raise AssertionError(f"nothing of the kind within {PATIENCE_S} s; the last was {newest}")

    def close(self) -> None:
        self.desk.close()
        self._reader.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., tuple[RunDirectory, Onlooker]]]:
    """Serve the rig of a new run in a thread of its own."""
    stop, threads, onlookers = threading.Event(), [], []

    def serve(*words: str) -> tuple[RunDirectory, Onlooker]:
        made = compose.compose(words)
        run = runs.create("first", str(tmp_path), made, words)
        ready = threading.Event()

        def work() -> None:
            with rig.Rig(run, made.config) as served:
                ready.set()
                served.run(stop)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        assert ready.wait(PATIENCE_S)
        onlookers.append(Onlooker(run))
        return run, onlookers[-1]

    yield serve
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    for onlooker in onlookers:
        onlooker.close()


@pytest.mark.usefixtures("_drawing")
def test_it_shows_the_whole_picture_of_each_camera_and_records_nothing(served):
    run, onlooker = served("task=ram_insertion_cameras")
    now = onlooker.until(lambda now: {"wrist", "wrist_2", "overview"} <= onlooker.frames.keys())
    assert (now.purpose, now.driver, now.episode, now.running) == ("setup", "hold", -1, False)
    assert set(now.cameras) == {"wrist", "wrist_2", "overview", "side"}
    head, pixels = onlooker.frames["wrist"]
    assert head.shape == (480, 640, 3)
    assert np.frombuffer(pixels, np.uint8).std() > 10.0
    about = rig_about.read(run.socket_dir())
    assert about is not None
    assert about.pictures == {"wrist": (640, 480), "wrist_2": (640, 480)}
    assert about.guided
    assert list(run.segments.iterdir()) == []


def test_the_arm_follows_the_hand_beyond_the_present_box_and_stays_when_let_go(served):
    run, onlooker = served("task=ram_insertion")
    begun = onlooker.until(lambda now: len(now.pose) == 7)
    high_m = compose.load(run.config_file).env.limits.workspace_high_m[2]
    right = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    moved = onlooker.until(lambda now: np.linalg.norm(np.subtract(now.pose, begun.pose)) > 0.06, drive=right)
    assert (moved.driver, moved.hand) == ("human", "Ada")
    up = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    about = rig_about.read(run.socket_dir())
    assert about is not None
    onlooker.until(lambda now: now.pose[2] - about.seated_pose[2] > high_m + 0.02, drive=up)
    rest = onlooker.until(lambda now: now.driver == "hold" and now.hand == "")
    later = onlooker.until(lambda now: now.t_ns > rest.t_ns + 500_000_000)
    assert np.linalg.norm(np.subtract(later.pose[:3], rest.pose[:3])) < 0.015, "one leash, and no further"
    assert onlooker.desk.ask("reset", "Ada").status == "done"
    onlooker.until(lambda now: np.linalg.norm(np.subtract(now.pose[:3], begun.pose[:3])) < 0.003)


@pytest.mark.parametrize("reference", ["commanded", "measured"])
def test_the_arm_is_guided_as_fast_as_an_episode_would_be(reference):
    env = EnvConfig(target_reference=reference)
    arm = GuidedArm(env)
    try:
        begun = arm.step(None).pose
        for _ in range(round(HZ)):
            arm.step(np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0]))
        for _ in range(round(HZ)):  # let go, it comes to rest
            rested = arm.step(None).pose
        asked_m = 0.3 * env.action_scale[0] * env.hz
        assert pose_distance(begun, rested)[0] == pytest.approx(asked_m, rel=0.05)
    finally:
        arm.close()


def test_its_clock_ends_with_it(tmp_path):
    made, before = compose.compose(["task=ram_insertion"]), set(threading.enumerate())
    over = threading.Event()
    over.set()
    with rig.Rig(runs.create("first", str(tmp_path), made, []), made.config) as served:
        served.run(over)
    assert not set(threading.enumerate()) - before


def test_a_hand_that_fell_silent_is_asked_to_let_go(served):
    _, onlooker = served("task=ram_insertion")
    still = (0.0,) * 6
    onlooker._until(lambda now: now.driver == "human", still)
    onlooker.until(lambda now: now.driver == "hold" and now.hand == "Ada")  # it is not let go
    asked = onlooker.until(lambda now: now.reason == SILENT, drive=still)
    assert (asked.driver, asked.hand) == ("hold", "Ada")
    assert onlooker.until(lambda now: now.hand == "").reason == rig.SET_UP
    assert onlooker.until(lambda now: now.driver == "human", drive=still).reason == rig.SET_UP


def test_a_stop_holds_until_it_is_resumed(served):
    _, onlooker = served("task=ram_insertion")
    onlooker.until(lambda now: len(now.pose) == 7)
    assert onlooker.desk.ask("stop", "Ada").status == "done"
    held = onlooker.until(lambda now: now.paused)
    still = onlooker.until(lambda now: now.t_ns > held.t_ns + 400_000_000, drive=(1.0, 0, 0, 0, 0, 0))
    assert still.driver == "held"
    assert "resume" in still.reason
    assert np.linalg.norm(np.subtract(still.pose[:3], held.pose[:3])) < 0.002
    assert onlooker.desk.ask("resume", "Ada").status == "done"
    onlooker.until(lambda now: not now.paused and now.driver == "hold" and not now.hand)
    onlooker.until(lambda now: now.driver == "human", drive=(1.0, 0, 0, 0, 0, 0))


def test_what_belongs_to_an_episode_is_refused(served):
    _, onlooker = served("task=ram_insertion")
    onlooker.until(lambda now: len(now.pose) == 7)
    answer = onlooker.desk.ask("success", "Ada")
    assert (answer.status, answer.why) == ("refused", rig.NOTHING_RECORDED)


def test_a_run_that_is_driven_is_left_alone(tmp_path):
    made = compose.compose()
    run = runs.create("first", str(tmp_path), made, ())
    with run.lock("actor"), pytest.raises(RunLocked):
        rig.Rig(run, made.config)


def test_a_station_that_does_not_exist_leaves_nothing_behind(tmp_path):
    made = compose.compose(["env.limits.workspace_low_m=[-0.05,-0.05,-0.01]"])
    run = runs.create("first", str(tmp_path), made, ())
    with rig.Rig(run, made.config):
        assert rig_about.read(run.socket_dir()) is not None
    assert rig_about.read(run.socket_dir()) is None
    run.lock("actor").release()


def test_a_station_of_no_run_has_a_folder_that_is_no_run(tmp_path):
    options = {"run": None, "runs": str(tmp_path)}
    run, config = rig._meant(options, ["station=sim_ur5e"])
    assert (run.path, config.env.sim.arm) == (tmp_path / rig.SCRATCH, "ur5e")
    run.open()
    assert runs.existing(str(tmp_path)) == []
    run, config = rig._meant(options, ["station=sim_panda"])
    assert compose.load(run.config_file).env.sim.arm == "panda", "the newest station counts"


def test_a_station_of_no_run_has_that_stations_pictures_and_is_left_alone_by_the_doctor(
    tmp_path, monkeypatch
):
    (tmp_path / "station").mkdir()
    (tmp_path / "station" / "mine.yaml").write_text("# @package _global_\ndefaults: [sim_panda]\n")
    (tmp_path / "station" / "mine.cameras.npz").write_bytes(b"of mine")
    monkeypatch.setenv(compose.SEARCH_PATH, str(tmp_path))
    compose._groups.cache_clear()
    options = {"run": None, "runs": str(tmp_path)}
    run, config = rig._meant(options, ["station=mine"])
    assert run.camera_pictures.read_bytes() == b"of mine"
    with rig.Rig(run, config):
        assert driven(str(tmp_path)) == [rig.SCRATCH], "its cameras and its device are in use"
    assert driven(str(tmp_path)) == []
    run, _ = rig._meant(options, ["station=sim_panda"])
    assert not run.camera_pictures.exists(), "of another station they say nothing"


def test_a_run_has_its_configuration_already(tmp_path):
    runs.create("first", str(tmp_path), compose.compose(), ())
    with pytest.raises(ConfigError, match="has its configuration already"):
        rig._meant({"run": "first", "runs": str(tmp_path)}, ["env.hz=20"])


# A real station: looked at, never moved
# ---------------------------------------------------------------------------------------------------


def looked(arm: WatchedArm, holds: Callable[[ArmLook], bool]) -> ArmLook:
    """The first look for which `holds`; a hand asks for motion all the while."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds(look := arm.step(np.ones(6))):
        assert time.monotonic() < deadline_s, f"the last look was {look}"
        time.sleep(0.02)
    return look


def test_a_served_arm_is_looked_at_and_left_in_hold(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'arm'}"
    env = configured(address)
    arm = WatchedArm(env)
    try:
        assert "arm server" in looked(arm, lambda look: "no word" not in look.trouble).trouble
        with spawn("serve", address=address) as server:
            seen = looked(arm, lambda look: len(look.pose) == 7)
            assert (seen.trouble, seen.fault) == ("", False)
            with ArmOperator(env) as operator:
                later = looked(arm, lambda look: bool(look.pose))
                assert operator.state().mode is ArmMode.HOLD
                assert np.linalg.norm(np.subtract(later.pose[:3], seen.pose[:3])) < 1e-3
                assert operator.newest is not None and operator.newest.lease == 0
            server.kill()
            gone = looked(arm, lambda look: look.trouble != "")
            assert gone.pose == ()
    finally:
        arm.close()


def test_physical_cameras_show_their_whole_picture_and_one_that_is_missing_leaves_the_others(
    tmp_path: Path,
) -> None:
    cv2 = pytest.importorskip("cv2")
    film = tmp_path / "film.mkv"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"FFV1"), 30, (96, 64))
    for number in range(90):
        writer.write(np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    writer.release()
    devices = tuple(
        CameraDeviceConfig(name, "opencv", str(path), 96, 64, fps=30, max_age_s=2.0)
        for name, path in (("wrist", film), ("gone", tmp_path / "gone.mkv"))
    )
    cameras = PhysicalCameras(EnvConfig(camera_devices=devices))
    try:
        assert cameras.pictures == {"wrist": (96, 64)}
        assert cameras.names == ("wrist",)
        assert "gone" in cameras.blind
        seen = list(cameras.look(frozenset({"wrist", "gone"})))
        assert [(name, frame.image.shape) for name, frame in seen] == [("wrist", (64, 96, 3))]
    finally:
        cameras.close()
