"""The pages are held to the code: links lead somewhere, Python examples run, limits are as listed.

An example is every block fenced as ```python; a page's blocks run in order in one namespace, as a reader
would type them. A block that cannot run here (a real arm) is fenced as ```py instead.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.agent.config import RunConfig
from handrail.agent.session import MOST_INCIDENTS
from handrail.launch.compose import compose
from handrail.robot_env.arms.arm import MOST_DAMPING_NMS_RAD, MOST_DAMPING_NS_M, Gains
from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.reach import JOINT_MARGIN_RAD, SLOW_FROM, STOP_AT
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.robot import DRIFT_N
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.remote.impedance import MOST_TORQUE_NM
from handrail.robot_env.remote.modes import JOINT_MOTION_BELOW_M, JOINT_MOTION_ROOM_M, JOINT_MOTION_TURN_RAD
from handrail.robot_env.remote.recovery import RECOVERY_S
from handrail.robot_env.remote.silence import TARE_PATIENCE_NS
from handrail.robot_env.remote.timing import waiting_ns, watchdog_ns
from handrail.robot_env.sim.model import FORCE_LIMITS

ROOT = Path(__file__).resolve().parent.parent
SAFETY = ROOT / "docs" / "safety.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers build them."""
    text = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name(page)} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(linked), (
                f"{name(page)} links to {target}; {name(linked)} has {anchors(linked)}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__example__"}
    for language, block in FENCE.findall(page.read_text()):
        if language == "python":
            exec(compile(block, name(page), "exec"), namespace)


# Limits: docs/safety.md
# ---------------------------------------------------------------------------------------------------

NOT_LIMITS = {
    "env.limits.": "motion reset_motion",  # with a table of their own
    "env.limits.motion.": "",
    "env.limits.reset_motion.": "",
    "env.arm.server.": "rest_port",
    "env.arm.franka.": "gripper tcp posture posture_stiffness_nm friction_nm load_mass_kg load_com_m",
    "env.arm.ur.": "tcp payload_kg payload_com_m force_damping force_scaling gripper_stroke_m gripper_counts "
    "gripper_forces_n",
    "env.arm.serl_http.": "joints joint_reset manage_impedance clear_errors poll_hz pose_hz gripper_open_m "
    "tool_in_flange",
}
"""Settings of which every limit is listed, and which of their numbers limit nothing."""


def tables(page: Path) -> Iterator[list[list[str]]]:
    """A page's tables, each as rows of cells; the first row is the heading."""
    for block in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def numbers(cell: str) -> list[float]:
    return [float(each.replace("−", "-")) for each in re.findall(r"(?<![\w.])[-−]?\d+(?:\.\d+)?", cell)]


def default(key: str) -> object:
    value: object = RunConfig()
    for name in key.split("."):
        value = CameraDeviceConfig() if name == "<n>" else getattr(value, name)
    return value


def words_and_numbers(value: object) -> tuple[list[str], list[float]]:
    """What a cell has to say about a default."""
    match value:
        case None:
            return ["none"], []
        case bool():
            return ["on" if value else "off"], []
        case str():
            return [value], []
        case tuple():
            return [], [float(each) for each in value]
    assert isinstance(value, int | float)
    return [], [float(value)]


def test_limits_are_those_of_the_code() -> None:
    """Every row of a table with a column "default" names keys whose defaults are in that column."""
    named: dict[str, set[str]] = {}
    for heading, *rows in tables(SAFETY):
        columns = [index for index, title in enumerate(heading) if title.startswith("default")]
        prefixes = re.findall(r"`([\w.]+\.)`", heading[0]) or [""]
        for prefix, column in zip(prefixes, columns, strict=False):
            for row in rows:
                keys = re.findall(r"`([\w.<>]+)`", row[0])
                said = re.split(r"[:(]", row[column])[0]
                known = [words_and_numbers(default(prefix + key)) for key in keys]
                assert all(word in said.split() for words, _ in known for word in words), row
                expected = [each for _, values in known for each in values]
                assert numbers(said) == pytest.approx(expected, rel=1e-3), row
                named.setdefault(prefix, set()).update(keys)
    for prefix, others in NOT_LIMITS.items():
        settings = vars(default(prefix.rstrip("."))).items()
        limits = {key for key, value in settings if not isinstance(value, str)}
        assert limits - set(others.split()) <= named[prefix], f"a table of {prefix} lacks a limit"


def test_the_watchdogs_law_is_that_of_the_code() -> None:
    (law,) = re.findall(r"max\(([\d.]+) periods, ([\d.]+) s\)", SAFETY.read_text())
    periods, least_s = map(float, law)
    for period_s in (0.02, 0.05, 0.2):
        assert watchdog_ns(ArmServerConfig(), period_s) == pytest.approx(
            1e9 * max(periods * period_s, least_s)
        )


def pushes(gains: Gains, config: FrankaConfig | URConfig) -> list[float]:
    """Stiffness times clip: x, y, down, up [N]; about x, y, z [Nm]."""
    up, turn = gains.clip_m or config.clip_m, gains.clip_rad or config.clip_rad
    down = gains.clip_neg_m or up
    assert down[:2] == up[:2] and (gains.clip_neg_rad or turn) == turn  # the table has one column for both
    forces = [gains.translation_n_m * clip for clip in (*up[:2], down[2], up[2])]
    return forces + [gains.rotation_nm_rad * clip for clip in turn]


def test_the_steady_push_is_that_of_the_code() -> None:
    example = compose(["station=franka_cell", "task=ram_insertion_real"], "ignored").config.env.arm
    assert example.contact is not None and example.moving is not None
    x, y, z, *turns = FORCE_LIMITS
    table = next(rows for heading, *rows in tables(SAFETY) if heading[0] == "gains")
    said = [[value for cell in cells for value in numbers(cell)] for _, *cells in table]
    assert pushes(Gains(), FrankaConfig()) == pushes(Gains(), URConfig())
    assert said == [
        pytest.approx(pushes(Gains(), FrankaConfig())),
        pytest.approx(pushes(example.contact, example.franka)),
        pytest.approx(pushes(example.moving, example.franka)),
        [x, y, z, z, *turns],
    ]
    text = SAFETY.read_text()
    assert f"more than {URConfig().torque_limit_nm:g} Nm" in text
    assert f"{MOST_TORQUE_NM:g} Nm) is refused" in text


def test_fixed_limits_are_those_of_the_code() -> None:
    table = next(rows for heading, *rows in tables(SAFETY) if heading[:2] == ["what", "limit"])
    assert [numbers(row[1]) for row in table] == [
        [JOINT_MARGIN_RAD],
        [SLOW_FROM, STOP_AT],
        [MOST_DAMPING_NS_M, MOST_DAMPING_NMS_RAD],
        [RECOVERY_S],
        [waiting_ns(0) / 1e9],
        [TARE_PATIENCE_NS / 1e9],
        [JOINT_MOTION_ROOM_M, JOINT_MOTION_BELOW_M, JOINT_MOTION_TURN_RAD],
        [DRIFT_N],
        [MOST_INCIDENTS],
    ]
