"""A reward classifier: how long it takes to train, how long a look takes, how often it is wrong.

Frames are collected by script from the simulated cell, in varying light, as `handrail classify collect` does.
A classifier trained on few episodes then judges fresh ones, the cell's own knowledge beside it: those that a
shaky expert drives, as in training, and those that only come near, which are the hardest there are.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.collector import NEAR_MISSES, SyntheticCollector
from handrail.intervention.log_reader import LogReader
from handrail.launch import run_trunk, runs
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.bench.reward import VIEWS
from handrail.launch.classify.collect import collect
from handrail.launch.classify.tally import Wanted
from handrail.launch.compose import Composed
from handrail.launch.options import Option, Options
from handrail.reward_classifier import artifact
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import NEGATIVE, POSITIVE, LabelledFrames, Recording, gather
from handrail.reward_classifier.predictor import ClassifierJudge
from handrail.reward_classifier.report import page
from handrail.reward_classifier.train import train
from handrail.reward_classifier.versions import make_current
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.judge import RewardConfig
from handrail.robot_env.make import make_env
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.vision.trunk import Trunk
from handrail.vision.weights import resolve

OPTIONS = (
    Option("episodes", int, "episodes to train on", 15),
    Option("positives", int, "frames of success to time a training with", 200),
    Option("negatives", int, "frames without success to time it with", 600),
    Option("fresh", int, "fresh episodes of each kind to judge", 100),
    Option("epochs", int, "most passes over the frames", ClassifierConfig.epochs),
    Option("keep", str, "folder to keep the classifier and its report in"),
)
_FRESH_SEED = 1_000_000
_SHAKY = {"bias_m": 0.0005, "bias_rad": 0.008, "noise": 0.1}
_PATIENCE_STEPS = 3  # beyond k: so long a success may go unseen before it counts as missed
_LOOKS = 200

Drive = Callable[[int], np.ndarray | None]
"""An action (6,) at a time [ns]; None ends the episode."""


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Collect, train, time a look, and judge fresh episodes; one thread for numerics is enough."""
    seeing = dataclasses.replace(config, env=_seeing(config.env, RewardConfig("operator")))
    store = run_trunk.store_of("runs")
    run_trunk.check(seeing, store, Console(stderr=True))
    trunk, _ = resolve(seeing.vision, None, seeing.seed, store)
    settings = ClassifierConfig(seed=config.seed, epochs=options["epochs"])
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as temporary:
        frames = _collected(Path(temporary), seeing, options, settings)
        enough = train(frames, settings, trunk)
        yield Figure("timed_positives", frames.count(POSITIVE), "frames")
        yield Figure("timed_negatives", frames.count(NEGATIVE), "frames")
        yield Figure("training", enough.seconds, "s")
        folder = Path(options["keep"] or temporary) / "classifier"
        few = LabelledFrames(frames.cameras, frames.episodes[: options["episodes"]])
        yield from _trained(few, settings, trunk, folder)
        classifier = artifact.load(folder)
        judged = _seeing(config.env, RewardConfig("classifier", (str(folder),)))
        judge = ClassifierJudge(classifier, judged.cameras, judged.reward)
        yield from _looks(judge, judged)
        with_judge = make_env(judged, judge=judge)
        try:
            yield from _shaky(with_judge, options["fresh"], classifier.consecutive)
            yield from _near_misses(with_judge, options["fresh"])
        finally:
            with_judge.close()


def _seeing(env: EnvConfig, reward: RewardConfig) -> EnvConfig:
    """Two wrist cameras in varying light."""
    varies = dataclasses.replace(env.randomization, light=True)
    return dataclasses.replace(env, cameras=VIEWS, randomization=varies, reward=reward)


def _collected(
    folder: Path, config: RunConfig, options: Options, settings: ClassifierConfig
) -> LabelledFrames:
    """So many frames at least, of so many episodes at least."""
    config = dataclasses.replace(config, actor=dataclasses.replace(config.actor, device="synthetic"))
    run = runs.create(str(folder / "shown"), "", Composed(config, {}), ())
    wanted = Wanted(options["positives"], options["negatives"])
    collect(run, config, wanted)
    return gather([Recording("shown", LogReader(run.segments), config.env)], settings)


def _trained(
    frames: LabelledFrames, settings: ClassifierConfig, trunk: Trunk, folder: Path
) -> Iterator[Figure]:
    """Train and put in use, and what the held-out episodes say of it."""
    trained = train(frames, settings, trunk)
    make_current(folder, artifact.save(folder, trained, page(trained), made_wall_ns=time.time_ns()))
    found = trained.calibration
    yield Figure("episodes", len(frames.episodes), "episodes")
    yield Figure("positives", frames.count(POSITIVE), "frames")
    yield Figure("negatives", frames.count(NEGATIVE), "frames")
    yield Figure("threshold", found.threshold, "1")
    yield Figure("held_out_false_positives", found.false_positives, f"of {found.episodes}")
    yield Figure("held_out_missed", found.missed, f"of {found.successes}")
    yield Figure("bound", 100.0 * found.bound, "per 100")


def _looks(judge: ClassifierJudge, env: EnvConfig) -> Iterator[Figure]:
    """How long a look takes when no policy has looked at the images before."""
    rng, took = np.random.default_rng(0), []
    judge.warm_up()
    for _ in range(_LOOKS):
        images = {c.name: rng.integers(0, 256, (c.height, c.width, 3), np.uint8) for c in env.cameras}
        began = time.perf_counter()
        judge.score(images)
        took.append((time.perf_counter() - began) * 1e3)
    yield from percentiles("look", took, "ms")


def _shaky(env: RobotEnv, count: int, consecutive: int) -> Iterator[Figure]:
    """An expert that sees the socket beside where it is, and trembles."""
    assert env.scene is not None
    scene = env.scene
    expert = ScriptedExpert(
        env.action_spec, period_s=env.period_s, target_reference=env.config.target_reference, **_SHAKY
    )
    reached = false = missed = 0
    for number in range(count):
        expert.reset(np.random.default_rng([number, 11]))
        claimed, seated = _judged(
            env, _FRESH_SEED + number, lambda _: expert.act(scene.truth()), consecutive + _PATIENCE_STEPS
        )
        false += claimed is False
        missed += claimed is None and seated
        reached += claimed is True or seated
    yield Figure("fresh_reached", reached, f"of {count}")
    yield Figure("fresh_false_positives", 100.0 * false / max(1, count), "per 100")
    yield Figure("fresh_missed", 100.0 * missed / max(1, reached), "per 100 successes")


def _near_misses(env: RobotEnv, count: int) -> Iterator[Figure]:
    """Half inserted, in the wrong place, beside the slot, in turn, each held for a while."""
    assert env.scene is not None
    collector = SyntheticCollector(
        env.scene.truth,
        env.scene.success,
        env.action_spec,
        env.period_s,
        env.config.target_reference,
    )

    def near_miss(now_ns: int) -> np.ndarray | None:
        reading = collector.read(now_ns)
        return None if "failure" in reading.buttons else reading.twist  # it asks for the next one

    false = 0
    for number in range(count):
        collector.posture = NEAR_MISSES[number % len(NEAR_MISSES)]
        collector.episode_started((_FRESH_SEED, number))
        claimed, _ = _judged(env, 2 * _FRESH_SEED + number, near_miss)
        false += claimed is False
    yield Figure("near_miss_false_positives", 100.0 * false / max(1, count), "per 100")


def _judged(env: RobotEnv, seed: int, drive: Drive, patience: int | None = None) -> tuple[bool | None, bool]:
    """Drive an episode until the judge claims success, or for as long as it takes.

    Args:
        env: With a judge.
        seed: Of the reset.
        drive: Who drives.
        patience: Looks in a row at a true success after which it counts as missed; None for no such end.

    Returns:
        Whether the claim was true, None without one; and whether a success went unseen for so long.
    """
    assert env.scene is not None
    _, info = env.reset(seed=seed)
    seen = 0
    while (action := drive(int(info["t_ns"]))) is not None:
        _, _, terminated, truncated, info = env.step(action)
        there = env.scene.success()
        if terminated:
            return there, False
        seen = seen + 1 if there else 0
        if patience is not None and seen >= patience:
            return None, True
        if truncated:
            break
    return None, False
