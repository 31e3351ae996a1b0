"""What the doctor says of an arm, from states as a server sends them; each limit is crossed once."""

import dataclasses
from contextlib import ExitStack

import msgspec
import numpy as np
import pytest
from emulators.camera import Film

from handrail.launch import arm_checks, preflight
from handrail.launch.arm import sentence
from handrail.launch.checks import Check
from handrail.launch.compose import compose
from handrail.robot_env.arms.kinematics import FRANKA, UR
from handrail.robot_env.cameras import make
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import pose_compose, pose_from, quat_from_rotvec
from handrail.robot_env.remote.messages import Counters, State
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import SimConfig

SEATED = "env.task.seated_pose=[0.5,0,0.06,1,0,0,0]"
FRANKA_TCP = "env.arm.franka.tcp=[0,0,0.1034,0,0,-0.3826834,0.9238795]"


def config(*words: str) -> EnvConfig:
    return compose(words).config.env


def state(**changes) -> State:
    """The simulated Panda at rest at its home, as a server would say it."""
    reading = SimCell(SimConfig()).read()
    values = {
        "protocol": 1,
        "boot": "b",
        "tick": 1000,
        "sent_ns": 10_000_000,
        "t_ns": 6_000_000,
        "pose": tuple(reading.pose.tolist()),
        "twist": (0.0,) * 6,
        "wrench": (0.0,) * 6,
        "q": tuple(reading.q.tolist()),
        "dq": (0.0,) * 7,
        "mode": "hold",
        "counters": Counters(ticks=1000, overruns=2),
    }
    return State(**{**values, **changes})


def moved(offset, turn=(0.0, 0.0, 0.0)) -> tuple[float, ...]:
    pose = pose_compose(np.array(state().pose), pose_from(offset, quat_from_rotvec(turn)))
    return tuple(pose.tolist())


def test_a_quiet_arm_is_well() -> None:
    check = arm_checks.link([state()])
    assert check.verdict == "ok"
    assert "hold, commanded by nobody, readings up to 4 ms old, 2 of 1000 ticks late" in check.text


@pytest.mark.parametrize(
    ("changes", "verdict", "part"),
    [
        (
            {"mode": "fault", "fault": "reflex at joint 3"},
            "fail",
            "reflex at joint 3; see to it, then `handrail arm",
        ),
        ({"mode": "run", "lease": 4, "commander": "'env' (process 7 on a)"}, "note", "process 7"),
        ({"mode": "disarmed", "pose": ()}, "note", "not connected yet"),
    ],
)
def test_an_arm_that_is_not(changes, verdict: str, part: str) -> None:
    check = arm_checks.link([state(**changes)])
    assert check.verdict == verdict and part in check.text


@pytest.mark.parametrize("words", [("arm=sim_server",), ("arm=franka", FRANKA_TCP)])
@pytest.mark.parametrize(
    ("pose", "verdict"),
    [
        (moved((0.0, 0.0, 0.0)), "ok"),
        (moved((0.0019, 0.0, 0.0)), "ok"),
        (moved((0.0, 0.0021, 0.0)), "fail"),
        (moved((0.0, 0.0, 0.0), (0.0, 0.0, 0.008)), "ok"),
        (moved((0.0, 0.0, 0.0), (0.0, 0.009, 0.0)), "fail"),
    ],
)
def test_kinematics_within_two_millimetres_and_half_a_degree(words, pose, verdict: str) -> None:
    check = arm_checks.kinematics(config(*words), state(pose=pose))
    assert check.verdict == verdict, check.text
    assert ("tool offset" in check.text) is (verdict == "fail")


def test_a_ur_is_recognised_by_its_joints() -> None:
    q = (0.3, -1.2, 1.5, -1.9, -1.5, 0.4)
    tcp = "env.arm.ur.tcp=[0,0,0.163,0,0,0,1]"
    flange = UR["ur10e"].flange(q)
    pose = tuple(pose_compose(flange, (0, 0, 0.163, 0, 0, 0, 1)).tolist())
    check = arm_checks.kinematics(config("arm=ur", tcp), state(q=q, pose=pose))
    assert check.verdict == "ok" and "ur10e" in check.text


@pytest.mark.parametrize(
    ("off_m", "verdict"), [(0.0019, "ok"), (0.0021, "note"), (0.0199, "note"), (0.0201, "fail")]
)
def test_a_ur_s_calibration_is_no_failure_but_a_larger_difference_is(off_m: float, verdict: str) -> None:
    q = (0.3, -1.2, 1.5, -1.9, -1.5, 0.4)
    pose = tuple(pose_compose(UR["ur5e"].flange(q), (off_m, 0, 0.163, 0, 0, 0, 1)).tolist())
    check = arm_checks.kinematics(
        config("arm=ur", "env.arm.ur.tcp=[0,0,0.163,0,0,0,1]"), state(q=q, pose=pose)
    )
    assert check.verdict == verdict and "of a ur5e, the model that fits best" in check.text
    assert ("20 mm" in check.text) is (verdict == "fail")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("arm=franka",), "env.arm.franka.tcp is not set"),
        (("arm=ur",), "env.arm.ur.tcp is not set"),
        (("arm=serl_http",), "known to its own server alone"),
    ],
)
def test_kinematics_that_cannot_be_checked_say_why(words, part: str) -> None:
    check = arm_checks.kinematics(config(*words), state())
    assert check.verdict == "skip" and part in check.text


def test_static_force() -> None:
    def pressed(force_n: float) -> State:
        return state(wrench=(0.0, force_n, 0.0, 0.0, 0.0, 0.0))

    assert arm_checks.static_force([pressed(2.9)] * 5).verdict == "ok"
    noisy = [pressed(force_n) for force_n in (5.0, -5.0, 5.0, -5.0)]
    assert arm_checks.static_force(noisy).verdict == "ok"  # noise is not a load
    check = arm_checks.static_force([pressed(3.5)] * 5)
    assert check.verdict == "fail" and "3.5 N at rest, limit 3 N" in check.text and "load" in check.text
    assert arm_checks.static_force([state(mode="run")]).verdict == "skip"
    assert arm_checks.static_force([state(twist=(0.02, 0, 0, 0, 0, 0))]).verdict == "skip"


@pytest.mark.parametrize(
    ("changes", "verdict", "part"),
    [
        ({}, "skip", "none to command"),
        ({"gripper_stroke_m": 0.08}, "ok", "30.0 of 80 mm open, said with every state"),
        ({"gripper_stroke_m": 0.085, "gripper_ns": 9_500_000_000}, "ok",
         "85 mm open, widths up to 500 ms old"),
        ({"gripper_stroke_m": 0.085, "gripper_ns": 9_400_000_000}, "fail",
         "last heard 600 ms ago, limit 500 ms; look at its cable"),
    ],
)  # fmt: skip
def test_the_gripper_and_how_old_its_width_is(changes, verdict: str, part: str) -> None:
    newest = state(sent_ns=10_000_000_000, gripper_width_m=0.03, **changes)
    check = arm_checks.gripper(config("arm=ur"), [newest])
    assert (check.name, check.verdict) == ("gripper", verdict) and part in check.text


def test_how_free_the_joints_are() -> None:
    check = arm_checks.joints(config("arm=franka"), state())
    assert (check.name, check.verdict) == ("joints", "ok")
    assert "joint 4 is nearest to its limit" in check.text and "condition number 9 " in check.text
    bent = np.array(state().q)
    bent[3] = FRANKA.limits_rad[3][0] + 0.05
    pose = tuple(pose_compose(FRANKA.flange(bent), pose_from((0, 0, 0.1))).tolist())
    check = arm_checks.joints(config("arm=franka"), state(q=tuple(bent.tolist()), pose=pose))
    assert check.verdict == "note" and "0.05 rad away" in check.text and "freer posture" in check.text
    check = arm_checks.joints(config("arm=franka"), state(pose=(2, 0, 0.1, 1, 0, 0, 0)))
    assert check.verdict == "note" and "not watched" in check.text


def test_the_tool_s_place() -> None:
    env = config("arm=franka", SEATED)
    assert arm_checks.place(env, state()).verdict == "ok"
    check = arm_checks.place(env, state(pose=(0.5, 0.2, 0.1, 1, 0, 0, 0)))
    assert check.verdict == "fail" and "150 mm" in check.text and "by hand" in check.text
    assert arm_checks.place(config("arm=sim_server"), state()).verdict == "skip"


@pytest.mark.parametrize(
    ("words", "verdict", "part"),
    [
        # HIL-SERL's seated pose with another arm's posture: below it and aside.
        (("env.arm.joint_home=[0,-0.19,0,-2.51,0,2.32,0.785]",
          "env.task.seated_pose=[0.588,-0.036,0.278,1,0,0,0]"), "fail", "joint_home_every=0"),
        (("env.arm.joint_home=[0,-0.19,0,-2.51]", SEATED), "fail", "4 angles"),
        (("env.arm.joint_home={q}", SEATED), "ok", "every 50 episodes"),
        (("env.arm.joint_home={q}", SEATED, "env.arm.franka.tcp=null"), "skip", "tcp is not set"),
    ],
)  # fmt: skip
def test_a_joint_motion_must_end_inside_the_workspace(words, verdict: str, part: str) -> None:
    q = str([round(float(angle), 6) for angle in state().q])
    words = [word.replace("{q}", q) for word in words]
    check = arm_checks.joint_home(config("arm=franka", "env.arm.joint_home_every=50", FRANKA_TCP, *words))
    assert check is not None
    assert (check.verdict, part in check.text) == (verdict, True), check.text
    assert arm_checks.joint_home(config("arm=sim_server")) is None


def test_without_a_server_a_real_arm_fails_and_a_simulated_one_is_noted(tmp_path) -> None:
    address = f"env.arm.server.address=ipc://{tmp_path}"
    for words, verdict in ((("arm=franka", SEATED), "fail"), (("arm=sim_server",), "note")):
        checks = list(arm_checks.examine(config(address, *words)))
        assert [check.name for check in checks] == list(arm_checks.NAMES)
        assert checks[0].verdict == verdict and "handrail arm-server" in checks[0].text
        assert {check.verdict for check in checks[1:]} == {"skip"}


# The workspace
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "verdict", "part"),
    [
        ((), "ok", "box 10 x 10 x 11 cm, starts and home inside it, steps up to 0.1 of 0.25 m/s"),
        (("env.hz=40",), "note", "full steps ask for 0.4 m/s and get 0.25"),
        (("env.action_scale=[0.02,0.06]",), "note", "the leash of 12 mm cuts a full step"),
        (("env.action_scale=[0.05,0.06]", "env.limits.workspace_low_m=[-0.02,-0.02,0]",
          "env.limits.workspace_high_m=[0.02,0.02,0.1]"), "fail", "wider than the box along x (40 mm)"),
        (("env.arm.contact={translation_n_m: 2000.0, clip_m: [0.02, 0.02, 0.02]}",), "fail", "up to 40 N"),
        (("env.arm.contact={translation_n_m: 2000.0, clip_m: [0.001, 0.001, 0.005]}",), "ok",
         "steady push up to 10 N of 35 N"),
        (("env.arm.moving={translation_n_m: 2000.0, clip_m: [0.01, 0.01, 0.0175]}",), "fail",
         "env.arm.moving pushes steadily with up to 35 N"),
        (("env.arm.moving={translation_n_m: 2000.0, clip_m: [0.01, 0.01, 0.01]}",), "ok",
         "steady push up to 20 N of 35 N"),
        (("arm=franka",), "fail", "env.task.seated_pose is not set"),
        ((SEATED, "env.regrasp={grasp_pose: [0.0, 0.04, 0.0, 0, 0, 0]}"), "ok", "grasp inside it"),
        ((SEATED, "env.regrasp={grasp_pose: [0.0, 0.06, 0.0, 0, 0, 0]}"), "fail",
         "grasp_pose: y is 0.0600, outside the workspace"),
        ((SEATED, "env.regrasp={grasp_pose: [0.0, 0.0, 0.06, 0, 0, 0]}"), "fail",
         "approach_m or travel_m: z is 0.1100"),
    ],
)  # fmt: skip
def test_workspace(words, verdict: str, part: str) -> None:
    check = preflight._workspace(compose(words).config)
    assert (check.verdict, part in check.text) == (verdict, True), check.text


def test_a_camera_that_is_not_there_fails_in_one_line() -> None:
    pytest.importorskip("cv2")
    words = ["env.camera_devices=[{name: side, driver: opencv, serial: /nowhere/side.mp4}]"]
    (check,) = preflight.cameras(compose(words).config)
    assert (check.name, check.verdict) == ("camera side", "fail")
    assert "/nowhere/side.mp4" in check.text and "\n" not in check.text


def cameras(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Check]:
    """What the doctor says of two filmed cameras, by line."""
    devices = [CameraDeviceConfig(name=name, serial=name, width=64, height=48) for name in ("left", "right")]
    with ExitStack() as stack:
        films = {device.name: stack.enter_context(Film(device)) for device in devices}
        monkeypatch.setattr(make, "make_driver", lambda device: films[device.name].driver)
        for name, film in films.items():
            film.driver.identity = name
        if "twins" in words:
            films["right"].driver.identity = "left"
        listed = ",".join(f"{{name: {d.name}, serial: {d.name}, width: 64, height: 48}}" for d in devices)
        found = [word for word in words if "=" in word]
        config = compose([f"env.camera_devices=[{listed}]", *found]).config
        return {check.name: check for check in preflight.cameras(config)}


def test_cameras_are_watched_together(monkeypatch: pytest.MonkeyPatch) -> None:
    both = "env.cameras=[{name: a, view: left}, {name: b, view: right}]"
    said = cameras(monkeypatch, both)
    assert list(said) == ["camera left", "camera right", "camera skew"]
    assert "ms apart, limit 50 ms" in said["camera skew"].text


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("twins",), "are both left"),
        (("env.cameras=[{name: a, view: lefft}]",), "did you mean 'left'"),
        (("env.cameras=[{name: a, view: left, crop: [40, 0, 48, 48]}]",), "reaches beyond"),
        (("env.camera_skew_s=0.01", "env.cameras=[{name: a, view: left}, {name: b, view: right}]"),
         "env.camera_skew_s is 0.01"),
    ],
)  # fmt: skip
def test_what_the_environment_would_refuse_of_its_cameras_the_doctor_does(
    words, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    (check,) = cameras(monkeypatch, *words).values()
    assert (check.name, check.verdict) == ("cameras", "fail") and part in check.text


def test_nobody_at_a_real_arm_fails() -> None:
    check = preflight._device(dataclasses.replace(compose(["arm=franka", "device=synthetic"]).config), False)
    assert check.verdict == "fail" and "device=spacemouse" in check.text


# `handrail arm state`
# ---------------------------------------------------------------------------------------------------


def test_a_state_in_one_line() -> None:
    running = state(
        mode="run",
        lease=3,
        commander="'env' (process 7 on a)",
        command_ns=4_000_000,
        job="zero_ft",
        force_n=1.25,
    )
    said = sentence(running)
    for part in (
        "RUN · commanded by 'env' (process 7 on a) · busy with zero_ft · tool at 0.500",
        "force 1.2 N · reading 4 ms old · last command 6 ms ago · 2 of 1000 ticks late",
    ):
        assert part in said
    assert sentence(state(mode="fault", fault="reflex")).startswith("FAULT: reflex · commanded by nobody")
    assert "tool at" not in sentence(State(1, "b", 1, 5))
    assert msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(running)))["mode"] == "run"
