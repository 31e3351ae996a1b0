"""`handrail rig`: a station at hand to be set up. Pictures and poses go to the console; nothing is recorded.

It stands where a control loop would: it has the run's actor role, so that neither can disturb the other, and
the run's sockets, so that a console shows it like any other. With `run=` it is that run's station; otherwise
the one that the command line composes, in a folder of its own (`runs/.rig`).
"""

import sys
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.agent.devices import make_operator_device
from handrail.intervention.arbiter import ArbiterState, Driver, arbitrate
from handrail.intervention.console.desk import Desk
from handrail.intervention.console.feed import Feed
from handrail.intervention.console.hand import CONSOLE_MAPPING, SILENT, ConsoleHand, NoDevice, Press
from handrail.intervention.console.messages import (
    WATCH_S,
    Command,
    FrameHead,
    Now,
    Verb,
    Watch,
    desk_address,
    feed_address,
)
from handrail.intervention.device import Button, Device
from handrail.intervention.mapping import Mapping
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, lifetime, runs
from handrail.launch.options import Options
from handrail.launch.rig import about as rig_about
from handrail.launch.rig.about import SCRATCH, RigAbout
from handrail.launch.rig.arm import HZ, ArmLook, GuidedArm, RigArm, WatchedArm
from handrail.launch.rig.cameras import DrawnCameras, PhysicalCameras, RigCameras
from handrail.robot_env.clock import NS_PER_S, MonotonicClock, Ticker
from handrail.robot_env.errors import ConfigError, HandrailError

SET_UP = "The station is being set up; nothing is recorded."
NOTHING_RECORDED = "nothing is recorded while the station is set up; stop the set-up and start the run"

_MOST_FPS = 10.0  # whole pictures travel uncompressed, and nobody chooses a crop at 30 a second
_BUTTONS: dict[Verb, Button] = {"stop": "stop", "pause": "hold", "resume": "resume"}
_STILL = np.zeros(6)


def main(options: Options, overrides: list[str]) -> int:
    """Serve the station until told to stop.

    Raises:
        ConfigError: the configuration is refused.
        RunLocked: a control loop drives this run.
    """
    stop = lifetime.begin("rig")
    run, config = _meant(options, overrides)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    name = run.id if run.path.parent == Path(options["runs"]).absolute() else run.path
    with Rig(run, config) as rig:
        console.print(f"Ready to be set up: {rig}")
        console.print(f"Its page: `handrail console run={name}`, Set-up. Ctrl-C ends it.")
        rig.run(stop)
    return 0


def _meant(options: Options, overrides: list[str]) -> tuple[RunDirectory, RunConfig]:
    """The run, or the folder that stands for one, and its configuration."""
    if options["run"] is not None:
        if overrides:
            raise ConfigError(
                f"{overrides[0]}: a run has its configuration already; leave it out, or leave run= out"
            )
        run = runs.find(options["run"], options["runs"])
        return run, compose.load(run.config_file)
    made = compose.compose(overrides, "taught")
    run = RunDirectory(Path(options["runs"]) / SCRATCH)
    run.path.mkdir(parents=True, exist_ok=True)
    with run.lock("actor"):
        run.remake(compose.dump(made.config), runs.describe(made.config.seed, made.choices, overrides))
        runs.know_cameras(run, made)
    return run, made.config


class Rig:
    """Serves one station. A context manager, for one thread.

    Args:
        run: whose actor role and sockets it takes.
        config: the station.

    Raises:
        RunLocked: a control loop drives this run.
        ConfigError: the station cannot be made as configured.
    """

    def __init__(self, run: RunDirectory, config: RunConfig) -> None:
        self._run, self._config = run, config
        self._boot = uuid.uuid4().hex[:8]
        self._homing = threading.Event()
        self._watch, self._watched_s = Watch(fps=0.0), -WATCH_S
        self._arbiter, self._look = ArbiterState(), ArmLook()
        self._mappings = {False: Mapping(config.mapping), True: Mapping(CONSOLE_MAPPING)}
        self._hand = ConsoleHand(config.arbiter.stale_s, forgives=True)
        self._shown_s: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._closing = ExitStack()
        try:
            self._closing.callback(run.lock("actor").release)
            self._device, self._absent = _device(config)
            self._closing.callback(self._device.close)
            self._arm, self._cameras = _station(config, self._closing)
            sockets = run.socket_dir()
            self._feed = Feed(feed_address(sockets))
            self._closing.callback(self._feed.close)
            desk = Desk(desk_address(sockets), self._obey, self._hand.feel, self._look_on)
            self._closing.callback(desk.close)
            about = RigAbout(self._arm.seated_pose(), self._cameras.pictures, self._arm.guided)
            rig_about.tell(sockets, about)
            self._closing.callback(rig_about.forget, sockets)
        except BaseException:
            self._closing.close()
            raise

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __str__(self) -> str:
        """What it has, in a line."""
        arm = self._config.env.arm
        moved = "follows your hand" if self._arm.guided else "stays in HOLD; guide it by its own hand-guiding"
        seen = ", ".join(self._cameras.pictures) or "none"
        return f"arm {arm.kind} {moved}; cameras: {seen}{self._absent and f'; {self._absent}'}"

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set."""
        clock = MonotonicClock()
        self._closing.callback(clock.close)
        ticker = Ticker(clock, round(NS_PER_S / HZ))
        while not stop.is_set():
            self.tick()
            ticker.wait()

    def tick(self) -> None:
        """One round: the hand, the arm, what is shown of them."""
        if self._homing.is_set():
            self._homing.clear()
            self._arm.home()
        now_ns = time.monotonic_ns()
        reading = self._hand.over(self._device.read(now_ns), now_ns)
        quat = np.array(self._look.pose[3:]) if self._look.pose else None
        asked = _STILL if quat is None else self._mappings[reading.console].apply(reading, quat)
        self._arbiter, decision = arbitrate(
            self._arbiter, reading, asked, _STILL, now_ns, self._config.arbiter
        )
        drives = self._arm.guided and self._arbiter.driver is Driver.HUMAN and not self._arbiter.paused
        self._look = self._arm.step(decision.action if drives else None)
        # Held still by who drove: whatever it says, the arm waits for it to let go first.
        silent = self._arbiter.driver is Driver.HOLD and reading.console and "takeover" in reading.buttons
        self._feed.send(self._now(drives, silent))
        self._show()

    def close(self) -> None:
        """Let go of everything; harmless when done already."""
        self._closing.close()

    def _now(self, drives: bool, silent: bool) -> Now:
        look, paused = self._look, self._arbiter.paused
        held = look.trouble or ("paused: resume to guide the arm" if paused and self._arm.guided else "")
        return Now(
            run_id=self._run.id,
            boot=self._boot,
            purpose="setup",
            driver="human" if drives else "held" if held else "hold",
            t_ns=time.monotonic_ns(),
            reason=held or (SILENT if silent else SET_UP),
            fault=look.fault,
            paused=paused,
            period_s=1.0 / HZ,
            device=self._device.name,
            hand=self._hand.driver,
            can=("stop", "resume" if paused else "pause", "reset") if self._arm.guided else (),
            cameras=self._cameras.names,
            blind=self._cameras.blind,
            pose=look.pose,
            force_n=look.force_n,
        )

    def _show(self) -> None:
        """Show the pictures that are due, if somebody looks on."""
        now_s = time.monotonic()
        fps = min(self._watch.fps, _MOST_FPS) if now_s - self._watched_s < WATCH_S else 0.0
        if fps <= 0.0:
            return
        last = self._shown_s
        due = frozenset(name for name in self._cameras.names if now_s - last.get(name, 0.0) >= 0.9 / fps)
        for name, frame in self._cameras.look(due):
            last[name] = now_s
            number = self._counts[name] = self._counts.get(name, -1) + 1
            height, width, _ = frame.image.shape
            self._feed.show(FrameHead(name, number, time.monotonic_ns(), (height, width, 3)), frame.image)

    def _look_on(self, watch: Watch) -> None:
        """Called from the desk's thread."""
        self._watch, self._watched_s = watch, time.monotonic()

    def _obey(self, command: Command) -> str:
        """Called from the desk's thread."""
        if not self._arm.guided:
            return "this arm is only looked at while the station is set up; it follows its own hand-guiding"
        if command.verb == "reset":
            self._homing.set()
            return ""
        button = _BUTTONS.get(command.verb)
        if button is None:
            return NOTHING_RECORDED
        self._hand.press(Press(button, command.who))
        return ""


def _device(config: RunConfig) -> tuple[Device, str]:
    """The configured device, open, or none and why: the page's own keys and pads do as well."""
    kind = config.actor.device
    if config.env.arm.real or kind not in HAND_DEVICES or (kind == "keyboard" and not sys.stdin.isatty()):
        return NoDevice(), ""
    try:
        device = make_operator_device(config)
        device.open()
    except HandrailError as error:
        return NoDevice(), f"{error} (guide the arm from the page)"
    return device, ""


def _station(config: RunConfig, closing: ExitStack) -> tuple[RigArm, RigCameras]:
    """Arm and cameras; closed by `closing`."""
    env = config.env
    if env.arm.real:
        arm = WatchedArm(env)
        closing.callback(arm.close)
        cameras = PhysicalCameras(env)
    else:
        # Served or not, a simulated arm is set up in this process: it is the same cell.
        arm = GuidedArm(env)
        closing.callback(arm.close)
        cameras = DrawnCameras(arm.cell, env)
    closing.callback(cameras.close)
    return arm, cameras
