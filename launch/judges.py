"""The judge that a configuration asks for, loaded from its folders."""

from __future__ import annotations

from pathlib import Path

from handrail.reward_classifier import artifact
from handrail.reward_classifier.predictor import ClassifierJudge
from handrail.reward_classifier.stages import StagedJudge
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.judge import Judge


def make_judge(env: EnvConfig, seed: int) -> Judge | None:
    """What judges the images of an environment; None where the task or the operator alone says so.

    It is warm when it comes back: the first look of an episode is as fast as every other.

    Args:
        env: `reward` names the classifier, one for each stage.
        seed: Of the run; names injected errors.

    Raises:
        ClassifierError: a classifier is missing or damaged.
        ConfigError: it was trained on other images, or is too slow for an arm that moves meanwhile.
    """
    judges = _classifier_judges(env, seed)
    if not judges:
        return None
    for judge in judges:
        judge.warm_up(_budget_ms(env))
    return judges[0] if len(judges) == 1 else StagedJudge(judges)


def describe(env: EnvConfig) -> str:
    """A classifier's versions, rules and speed, in a line; for an environment that has one.

    Raises:
        ClassifierError: a classifier is missing or damaged.
        ConfigError: it was trained on other images, or is too slow.
    """
    return "; ".join(_described(judge, _budget_ms(env)) for judge in _classifier_judges(env, 0))


def _budget_ms(env: EnvConfig) -> float | None:
    """None for a simulated arm in lockstep: no time passes while one looks."""
    return env.reward.budget_ms if env.arm.served else None


def _classifier_judges(env: EnvConfig, seed: int) -> list[ClassifierJudge]:
    """One for each stage, in order; each stage's errors are its own."""
    return [
        ClassifierJudge(artifact.load(Path(folder).expanduser()), env.cameras, env.reward, seed=seed + stage)
        for stage, folder in enumerate(env.reward.classifier)
    ]


def _described(judge: ClassifierJudge, budget_ms: float | None) -> str:
    found = judge.classifier
    cameras = ", ".join(camera.name for camera in found.cameras)
    took_ms = judge.warm_up(budget_ms)
    return (
        f"version {found.version} through {cameras}: success from {found.threshold:.2f}, "
        f"{found.consecutive} looks in a row, {took_ms:.1f} ms a look"
    )
