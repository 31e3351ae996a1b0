"""Presets and overrides by Hydra, held to the dataclasses."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handrail.agent.config import RunConfig
from handrail.intervention.device import Reading
from handrail.intervention.mapping import Mapping
from handrail.launch import compose, schema
from handrail.robot_env.arms.kinematics import UR
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import IDENTITY_POSE


def leaves(plain: Any, path: str = "") -> list[str]:
    if not isinstance(plain, dict):
        return [path]
    return [leaf for key, item in plain.items() for leaf in leaves(item, f"{path}.{key}" if path else key)]


KEYS = leaves(schema.to_plain(RunConfig()))


def test_the_default_preset_is_the_dataclasses_defaults() -> None:
    composed = compose.compose()
    assert composed.config == RunConfig()
    assert composed.choices == {
        "arm": "sim",
        "device": "synthetic",
        "preset": "default",
        "station": "sim_panda",
        "task": "ram_insertion",
    }


def test_parity_turns_off_what_hil_serl_does_not_have() -> None:
    agent = compose.compose(["preset=parity"]).config.agent
    assert (agent.n_step, agent.clone_updates, agent.second_proposal, agent.imitation_weight) == (
        1,
        0,
        False,
        0.0,
    )
    assert (agent.discount, agent.tau, agent.batch_size, agent.critics, agent.cta_ratio) == (
        0.97,
        0.005,
        256,
        2,
        2,
    )
    assert agent.target_clip is None and agent.temperature == 0.01 and not agent.backup_entropy
    vision = compose.compose(["preset=parity", "task=ram_insertion_cameras"]).config.vision
    assert (vision.dropout, vision.shift_px) == (0.1, 4) and vision.views > 1


SEATED = "env.task.seated_pose=[0.588,-0.036,0.278,1,0,0,0]"
FACTS = {
    "station=franka_cell": [
        "env.arm.franka.host=172.16.0.2",
        "env.arm.franka.tcp=[0,0,0.1034,0,0,-0.382683,0.923880]",
        "env.arm.franka.load_mass_kg=0.2",
        "env.arm.franka.load_com_m=[0,0,-0.05]",
        "env.arm.joint_home=[0,-0.19,0,-2.51,0,2.32,0.785]",
        "env.camera_devices.0.serial=123456",
        "env.camera_devices.1.serial=036322250763",
    ],
    "station=ur_cell": [
        "env.arm.ur.host=192.168.1.10",
        "env.arm.ur.tcp=[0,0,0.163,0,0,0,1]",
        "env.arm.ur.payload_kg=1.1",
        "env.arm.ur.payload_com_m=[0,0,0.06]",
        "env.camera_devices.0.serial=123456",
        "env.camera_devices.1.serial=123457",
    ],
    "task=ram_insertion_real": [SEATED, "env.regrasp.grasp_pose=[0,-0.06,0,0,0,0]"],
}


@pytest.mark.parametrize("group", sorted(compose.groups()))
def test_every_choice_composes(group: str) -> None:
    for choice in compose.groups()[group]:
        word = f"{group}={choice}"
        assert compose.compose([word, *FACTS.get(word, [])]).choices[group] == choice


def test_the_real_task_has_the_worked_example_s_forces() -> None:
    env = compose.compose(["task=ram_insertion_real", *FACTS["task=ram_insertion_real"]]).config.env
    contact, moving = env.arm.contact, env.arm.moving
    assert contact is not None and contact.clip_m is not None and contact.clip_neg_m is not None
    assert contact.translation_n_m * contact.clip_m[2] == pytest.approx(10.0)  # up
    assert contact.translation_n_m * contact.clip_neg_m[2] == pytest.approx(11.0)  # down
    assert contact.translation_n_m * contact.clip_m[0] == pytest.approx(3.2)  # sideways
    assert moving is not None and moving.clip_m is not None
    assert moving.translation_n_m * max(moving.clip_m) == pytest.approx(20.0)  # less than trips
    assert env.limits.force_limit_n == 30.0


def test_the_task_by_sight_is_the_task_with_two_cameras_and_a_pose_that_hides_the_socket() -> None:
    plain, seeing = (
        compose.compose([f"task={name}"]).config.env for name in ("ram_insertion", "ram_insertion_cameras")
    )
    assert (plain.proprioception, seeing.proprioception) == ("socket", "start")
    assert [(c.name, c.width, c.height) for c in seeing.cameras] == [
        ("wrist", 128, 128),
        ("wrist_2", 128, 128),
    ]
    assert dataclasses.replace(seeing, proprioception="socket", cameras=()) == plain


def test_missing_facts_are_refused_all_at_once_with_both_remedies() -> None:
    for word in FACTS:
        with pytest.raises(ConfigError) as refusal:
            compose.compose([word])
        said = str(refusal.value)
        keys = [fact.partition("=")[0] for fact in FACTS[word]]
        assert all(key in said for key in keys) and "HANDRAIL_CONF" in said and "\n" not in said
        assert f"{sorted(keys)[0]}=<value>" in said


def test_a_station_chooses_its_arm_and_device_and_the_command_line_another() -> None:
    words = ["station=franka_cell", *FACTS["station=franka_cell"]]
    composed = compose.compose(words)
    assert composed.config.env.arm.kind == "franka" and composed.config.actor.device == "spacemouse"
    assert (composed.choices["arm"], composed.choices["device"]) == ("franka", "spacemouse")
    composed = compose.compose([*words, "arm=sim_server", "device=keyboard"])
    assert composed.config.env.arm.kind == "sim_server" and composed.config.actor.device == "keyboard"
    # Facts of an arm that is not used are not asked for.
    assert compose.compose(["station=franka_cell", *words[-2:], "arm=sim"]).config.env.arm.franka.host == ""


def test_a_ur_is_driven_away_from_whoever_stands_behind_it() -> None:
    """By its own kinematics, stretched out by all-zero joints it reaches along -x."""
    away, ahead = np.array([0.0, 1.0, 0, 0, 0, 0]), UR["ur5e"].flange(np.zeros(6))[:3]
    for device in ("spacemouse", "gamepad"):
        words = ["station=ur_cell", *FACTS["station=ur_cell"], f"device={device}"]
        mapping = compose.compose(words).config.mapping
        moved = Mapping(mapping).apply(Reading(away, 0), np.array(IDENTITY_POSE[3:]))
        assert ahead[0] < -0.8 and moved[:3].tolist() == pytest.approx([-1.0, 0.0, 0.0])


def test_an_arm_server_s_station_composes_before_anything_is_taught() -> None:
    """What is read from the arm itself cannot be known before its server runs; all else is asked for."""
    facts = [word for word in FACTS["station=franka_cell"] if "env.arm.franka" in word]
    env = compose.compose(["station=franka_cell", "task=ram_insertion_real", *facts], "taught").config.env
    assert (env.task.seated_pose, env.regrasp, env.regrasp_every) == (None, None, 0)
    assert (env.arm.joint_home, env.arm.joint_home_every) == ((), 0)
    assert env.arm.franka.host == "172.16.0.2" and env.limits.force_limit_n == 30.0
    with pytest.raises(ConfigError, match=r"no value for env\.arm\.franka\.host: "):
        compose.compose(["station=franka_cell", *facts[1:]], "taught")
    # Whoever only wants to know where the server is, or says what is missing, gives nothing at all.
    composed = compose.compose(
        ["station=franka_cell", "task=ram_insertion_real", "device=gamepad"], "ignored"
    )
    words = [*FACTS["station=franka_cell"], *FACTS["task=ram_insertion_real"]]
    assert set(composed.missing) == {word.partition("=")[0] for word in words}
    assert compose.compose(["station=franka_cell", "arm=sim"], "ignored").missing == (
        "env.camera_devices.0.serial",
        "env.camera_devices.1.serial",
    )
    env = composed.config.env
    assert (env.arm.kind, env.arm.name) == ("franka", "franka-cell")
    assert [device.name for device in env.camera_devices] == ["wrist_1", "wrist_2"]


def test_a_word_that_looks_like_a_number_stays_text_where_text_is_wanted() -> None:
    words = ["env.camera_devices=[{name: a, serial: '0'}]", "env.camera_devices.0.serial=036322250763"]
    (device,) = compose.compose(words).config.env.camera_devices
    assert device.serial == "036322250763"
    (device,) = compose.compose(
        [words[0], "env.camera_devices.0.serial=943222071234"]
    ).config.env.camera_devices
    assert device.serial == "943222071234"


def test_stations_and_tasks_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for group, text in (
        ("station/mine", "defaults:\n  - sim_ur5e\n  - override /arm: sim_server\nenv: {arm: {name: mine}}"),
        ("task/mine", "env: {task: {max_steps: 7}}"),
        ("task/wrong", "env: {task: {max_stepz: 7}}"),
    ):
        file = tmp_path / "it's mine" / f"{group}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(ConfigError, match="no station 'mine'"):
        compose.compose(["station=mine"])
    monkeypatch.setenv(compose.SEARCH_PATH, str(tmp_path / "it's mine"))
    assert "mine" in compose.groups()["station"] and "sim_panda" in compose.groups()["station"]
    composed = compose.compose(["station=mine", "task=mine"])
    env = composed.config.env
    assert (env.arm.kind, env.arm.name, env.sim.arm, env.task.max_steps) == ("sim_server", "mine", "ur5e", 7)
    assert composed.choices["arm"] == "sim_server"
    assert compose.compose(["station=mine", "arm=sim"]).config.env.arm.kind == "sim"
    with pytest.raises(ConfigError, match=r"env\.task\.max_stepz.*max_steps"):
        compose.compose(["task=wrong"])
    (tmp_path / "it's mine" / "task" / "mine.yaml").write_text("env: {task: {max_steps: 7}}")
    with pytest.raises(ConfigError, match=r"task=mine.*@package _global_"):
        compose.compose(["task=mine"])
    monkeypatch.setenv(compose.SEARCH_PATH, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"HANDRAIL_CONF names .*nowhere"):
        compose.compose([])


def test_overrides_win_over_presets() -> None:
    config = compose.compose(["agent.n_step=5", "preset=parity", "station=sim_ur5e", "seed=7"]).config
    assert (config.agent.n_step, config.env.sim.arm, config.seed) == (5, "ur5e", 7)


@pytest.mark.parametrize("key", KEYS)
def test_a_misspelt_key_is_refused_with_the_key_that_was_meant(key: str) -> None:
    """Two neighbouring letters swapped, or one dropped, in every key there is."""
    head, dot, last = key.rpartition(".")
    typo = f"{head}{dot}{last[:-1]}" if len(last) > 3 else f"{head}{dot}{last}x"
    if typo in KEYS:
        pytest.skip("the typo is a key itself")
    with pytest.raises(ConfigError) as refusal:
        compose.compose([f"{typo}=1"])
    assert repr(typo) in str(refusal.value)
    assert "did you mean" in str(refusal.value)


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_type_is_refused_by_name(key: str) -> None:
    plain = schema.to_plain(RunConfig())
    *above, last = key.split(".")
    place = plain
    for name in above:
        place = place[name]
    place[last] = {"a": 1}
    with pytest.raises(ConfigError) as refusal:
        schema.from_plain(RunConfig, plain)
    assert key.rpartition(".")[2] in str(refusal.value)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("preset=partiy", ["'partiy'", "did you mean 'parity'", "default, parity"]),
        ("hz=20", ["'hz'", "did you mean 'env.hz'"]),
        ("env.hz=0", ["env.hz is 0.0"]),
        ("env.hz=10hz", ["env.hz is '10hz'", "hertz"]),
        ("env.limits.force_limit_n=0", ["force_limit_n is 0.0"]),
        ("env.limits.rotation_limit_rad=[0,0,0]", ["rotation_limit_rad", "0.0"]),
        ("env.limits.workspace_low_m=[0.2,0.2,0.2]", ["workspace", "0.2"]),
        ("env.action_scale=[10.0,60.0]", ["action_scale", "10.0"]),
        ("+agent.extra=1", ["neither be added"]),
        ("~agent", ["removed"]),
        ("seed=0,1,2", ["several values"]),
        ("seed=-1", ["seed is -1"]),
        ("nonsense", ["'nonsense' is no override"]),
        ("goal.successes=101", ["goal.successes", "101", "100"]),
        ("arm=sim_sever", ["'sim_sever'", "did you mean 'sim_server'"]),
        ("env.cameras.0.nam=a", ["'env.cameras.0.nam'"]),
    ],
)
def test_bad_words(word: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        compose.compose([word])
    for part in parts:
        assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_dumped_configuration_loads_as_itself(tmp_path: Path) -> None:
    config = compose.compose(["preset=parity", "agent.critic_lr=1e-5", "env.cameras=[{name: wrist}]"]).config
    file = tmp_path / "config.yaml"
    file.write_text(compose.dump(config))
    assert compose.load(file) == config


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: !!python/object/apply:os.system ['true']", "no plain YAML"),
        ("a: &a [1, 1]\nb: [*a, *a]", "alias"),
        ("seed: [", "no plain YAML"),
        ("seeed: 3", "did you mean 'seed'"),
        ("x" * 300_000, "bytes"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        compose.load(file)
    assert part in str(refusal.value) and "config.yaml" in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        compose.load(tmp_path / "config.yaml")


def test_amending_changes_only_what_may_change() -> None:
    config = compose.amend(RunConfig(), ["goal.max_env_steps=30000"], ["goal.max_env_steps"])
    assert config.goal.max_env_steps == 30_000
    with pytest.raises(ConfigError, match=r"agent.n_step=1: .*new run"):
        compose.amend(RunConfig(), ["agent.n_step=1"], ["goal.max_env_steps"])
    for word in ("agent.n_stp=1", "+goal.max_env_steps=3", "goal.max_env_steps=3.5"):
        with pytest.raises(ConfigError, match=word.strip("+").partition("=")[0]):
            compose.amend(RunConfig(), [word], ["goal.max_env_steps"])
