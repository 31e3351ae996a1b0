"""Presets and overrides by Hydra, held to the dataclasses."""

from pathlib import Path
from typing import Any

import pytest

from handrail.agent.config import RunConfig
from handrail.launch import compose, schema
from handrail.robot_env.errors import ConfigError


def leaves(plain: Any, path: str = "") -> list[str]:
    if not isinstance(plain, dict):
        return [path]
    return [leaf for key, item in plain.items() for leaf in leaves(item, f"{path}.{key}" if path else key)]


KEYS = leaves(schema.to_plain(RunConfig()))


def test_the_default_preset_is_the_dataclasses_defaults() -> None:
    composed = compose.compose()
    assert composed.config == RunConfig()
    assert composed.choices == {"preset": "default", "station": "sim_panda", "task": "ram_insertion"}


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


@pytest.mark.parametrize("group", sorted(compose.groups()))
def test_every_choice_composes(group: str) -> None:
    for choice in compose.groups()[group]:
        assert compose.compose([f"{group}={choice}"]).choices[group] == choice


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
