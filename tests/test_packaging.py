"""The folders at the root become the `handrail` namespace: whole, typed, and beside ROS 2's `launch`."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
TOP = ("agent", "intervention", "launch", "reward_classifier", "robot_env", "vision")


def test_every_package_in_the_tree_is_listed_and_mapped() -> None:
    folders = {
        f"handrail.{init.parent.relative_to(ROOT).as_posix().replace('/', '.')}": init.parent
        for top in TOP
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == set(folders)
    mapped = {package: ROOT / folder for package, folder in SETUPTOOLS["package-dir"].items()}
    assert mapped == folders


def test_no_module_lies_outside_a_package() -> None:
    for top in TOP:
        for module in (ROOT / top).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module.parent} has no __init__.py"


def test_the_namespace_has_no_init_and_its_packages_are_typed() -> None:
    assert not (ROOT / "handrail").exists()
    for top in TOP:
        assert (ROOT / top / "py.typed").exists()
        link = ROOT / "typings" / "handrail" / top
        assert link.is_symlink() and link.resolve() == ROOT / top


def test_data_files_are_packaged() -> None:
    packaged = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for top in (TOP if package == "*" else [SETUPTOOLS["package-dir"][package]])
        for pattern in patterns
        for path in (ROOT / top).glob(
            pattern.replace("**", "**/*") if pattern.endswith("**") else f"**/{pattern}"
        )
    }
    for top in TOP:
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                assert path in packaged, f"{path} is not packaged"


def test_ros_launch_on_the_path_does_not_clash(tmp_path: Path) -> None:
    """Many robot workstations have ROS 2's `launch` on PYTHONPATH; both must import, each as itself."""
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / "__init__.py").write_text("WHO = 'ros'\n")
    code = (
        "import launch, handrail.launch, handrail.launch.cli; "
        "print(launch.WHO, hasattr(handrail.launch, 'WHO'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.split() == ["ros", "False"], result.stderr


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            pinned = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line)
            assert pinned, f"constraints.txt: {line!r} is not name==version"
            pins[pinned[1].lower().replace("_", "-")] = pinned[2]
    assert pins["torch"] == "2.13.0"
    assert not [pin for pin in pins if pin.startswith(("nvidia-", "torchvision", "torchaudio", "triton"))]
    extras = PROJECT["project"]["optional-dependencies"].values()
    for requirement in [*PROJECT["project"]["dependencies"], *(item for extra in extras for item in extra)]:
        package = re.split(r"[<>=\[]", requirement)[0].lower().replace("_", "-")
        assert package in pins, f"{package} has no line in constraints.txt"
