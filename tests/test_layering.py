"""The house rules that can be read off the imports: layers, confinement, no pickle, no bare package names.

    robot_env  <-  intervention  <-  vision  <-  { reward_classifier, agent }  <-  launch

An arrow points at what may be imported. The files are parsed, never run, so a rule holds even for an import
inside a function.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "robot_env": {"robot_env"},
    "intervention": {"robot_env", "intervention"},
    "vision": {"robot_env", "intervention", "vision"},
    "reward_classifier": {"robot_env", "intervention", "vision", "reward_classifier"},
    "agent": {"robot_env", "intervention", "vision", "agent"},
    "launch": {"robot_env", "intervention", "vision", "reward_classifier", "agent", "launch"},
}

# Distribution -> where it may be imported (a folder or a file, from the root).
CONFINED = {
    "torch": ("vision/", "agent/", "reward_classifier/"),
    "hydra": ("launch/",),
    "omegaconf": ("launch/",),
    "mujoco": ("robot_env/sim/", "robot_env/arms/mujoco.py", "robot_env/cameras/mujoco.py"),
    "rich": ("launch/",),
    "franky": ("robot_env/arms/franka/driver.py",),
    "rtde_control": ("robot_env/arms/ur/robot.py",),
    "rtde_receive": ("robot_env/arms/ur/robot.py",),
    "pyrealsense2": ("robot_env/cameras/realsense.py",),
    "pyspacemouse": ("intervention/spacemouse.py",),
    "easyhid": ("intervention/spacemouse.py",),
    "sdl2": ("intervention/gamepad.py",),
    "cv2": ("robot_env/cameras/opencv.py",),
    "av": ("launch/export/video.py",),
    "pyarrow": ("launch/export/arrow.py",),
    "PIL": ("launch/",),
}

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module named by an import statement, `from a.b import c` as both `a.b` and `a.b.c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_keep_to_the_layers(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for module in imports(ast.parse(path.read_text())):
        parts = module.split(".")
        assert parts[0] not in MAY_IMPORT, f"{module}: import handrail.{module} (bare names clash)"
        if parts[0] == "handrail":
            assert parts[1] in MAY_IMPORT[package], f"{package} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_heavy_packages_stay_where_they_belong(path: Path) -> None:
    for module in imports(ast.parse(path.read_text())):
        allowed = CONFINED.get(module.split(".")[0])
        assert allowed is None or name(path).startswith(allowed), f"{module} belongs in {allowed}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_unpickled(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for module in imports(tree):
        assert module.split(".")[0] not in UNPICKLERS, (
            f"{module}: msgspec for records, safetensors for weights"
        )
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        match ast.unparse(node.func):
            case "torch.load":
                assert keywords.get("weights_only") == "True", (
                    f"line {node.lineno}: weights_only=True is missing"
                )
            case "np.load" | "numpy.load":
                assert keywords.get("allow_pickle", "False") == "False", f"line {node.lineno}: allow_pickle"
            case "yaml.load" | "yaml.unsafe_load" | "yaml.full_load":
                pytest.fail(f"line {node.lineno}: tags can build objects, use yaml.safe_load")


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_hold_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400, "over 400 lines: split it by idea"


def test_the_rules_see_what_they_forbid() -> None:
    """A guard for the guard: the reader finds imports in functions, aliases and `from` forms."""
    tree = ast.parse(
        "import torch.nn as nn\ndef f():\n    from handrail.launch import cli\n    import pickle"
    )
    assert set(imports(tree)) == {"torch.nn", "handrail.launch.cli", "pickle"}
