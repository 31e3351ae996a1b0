"""RAM trained on a classifier's reward alone, judged by what the simulated cell knows.

A classifier is collected and trained as an operator would do it. Then the policy, which sees the state alone,
is trained on its word; frames without success are called success at the rates to be swept, with and without
the rules that guard against it (k looks in a row, pose and force).
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from handrail.agent.config import RunConfig
from handrail.intervention.labeller import said_by_machine
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs
from handrail.launch.bench.figures import Figure
from handrail.launch.classify.collect import collect
from handrail.launch.classify.tally import Wanted
from handrail.launch.compose import Composed
from handrail.launch.errors import ChildFailed, GoalNotReached
from handrail.launch.options import Option, Options
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import RewardConfig

OPTIONS = (
    Option("rates", str, "injected false positives, shares of frames, separated by commas", "0,0.001,0.01"),
    Option("rules", ("both", "with", "without"), "with k in a row and the guard, or without", "both"),
    Option("train", ("each", "first"), "a policy at each rate, or at the first alone", "each"),
    Option("consecutive", int, "k with the rules; by default as calibrated"),
    Option("steps", int, "most environment steps of a run", 6000),
    Option("minutes", int, "most minutes of a run", 20),
    Option("positives", int, "frames of success to train the classifier on", 200),
    Option("negatives", int, "frames without success", 600),
    Option("classifier", str, "folder of a trained classifier to use instead"),
    Option("keep", str, "folder to keep classifier and runs in"),
)
VIEWS = tuple(CameraConfig(name=name, width=128, height=128) for name in ("wrist", "wrist_2"))
_EPISODES = 100
_LATEST_LOOKS = 5  # after this many looks at a module that is seated, it has been missed


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Errors of the classifier while a policy learns from it, and what the policy came to, run by run."""
    try:
        rates = [float(word) for word in options["rates"].split(",")]
    except ValueError:
        raise ConfigError(f"rates={options['rates']}: give numbers, such as rates=0,0.001,0.01") from None
    rules = {"both": (True, False), "with": (True,), "without": (False,)}[options["rules"]]
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as temporary:
        folder = Path(options["keep"] or temporary).absolute()
        if options["classifier"] is None:
            classifier = folder / "classifiers" / "ram"
            yield from _train_classifier(folder, classifier, config, options)
        else:
            classifier = Path(options["classifier"]).absolute()
        for rate in rates if options["train"] == "each" else rates[:1]:
            for ruled in rules:
                name = f"rate_{rate:g}_{'with' if ruled else 'without'}_rules"
                path = folder / "runs" / name
                yield from _one(path, classifier, config, options, rate, ruled=ruled)
                if ruled and rate == 0.0:
                    yield from _replayed(RunDirectory(path), classifier, config, options, rates)


def _seeing(config: RunConfig, reward: RewardConfig) -> RunConfig:
    """Two wrist cameras for the classifier, in varying light, and a policy that sees the state alone."""
    varies = dataclasses.replace(config.env.randomization, light=True)
    env = dataclasses.replace(
        config.env, cameras=VIEWS, proprioception="socket", randomization=varies, reward=reward
    )
    vision = dataclasses.replace(config.vision, cameras=())
    return dataclasses.replace(config, env=env, vision=vision)


def _train_classifier(
    folder: Path, classifier: Path, config: RunConfig, options: Options
) -> Iterator[Figure]:
    """Collect by script, train and accept, by the same commands as a person."""
    shown = _seeing(config, RewardConfig("operator"))
    run = runs.create(str(folder / "runs" / "shown"), "", Composed(shown, {}), ())
    tally = collect(run, shown, Wanted(options["positives"], options["negatives"]))
    yield Figure("collected_episodes", tally.episodes, "episodes")
    began = time.monotonic()
    name = (f"name={classifier}",)
    _handrail("classify", "train", f"run={run.path}", *name)
    yield Figure("classifier_training", time.monotonic() - began, "s")
    _handrail("classify", "accept", *name)


def _one(
    path: Path, classifier: Path, config: RunConfig, options: Options, rate: float, *, ruled: bool
) -> Iterator[Figure]:
    """Train one policy, evaluate it by the cell's own knowledge, and count the classifier's errors."""
    reward = RewardConfig(
        source="classifier",
        classifier=(str(classifier),),
        consecutive=options["consecutive"] if ruled else 1,
        guard=ruled,
        false_positive_rate=rate,
    )
    seeing = _seeing(config, reward)
    goal = dataclasses.replace(
        config.goal, max_env_steps=options["steps"], max_wall_s=60.0 * options["minutes"]
    )
    run = runs.create(str(path), "", Composed(dataclasses.replace(seeing, goal=goal), {}), ())
    began = time.monotonic()
    _handrail("train", f"run={run.path}", "display=plain", passes=(0, GoalNotReached.exit_code))
    minutes = (time.monotonic() - began) / 60.0
    evaluated = json.loads(_handrail("evaluate", f"run={run.path}", f"episodes={_EPISODES}", "--json"))
    counted = errors_of(run)
    yield Figure(f"{path.name}_successes", evaluated["successes"], f"of {_EPISODES}")
    yield Figure(f"{path.name}_steps", evaluated["env_steps"], "steps")
    yield Figure(f"{path.name}_wall", minutes, "min")
    yield Figure(f"{path.name}_episodes", counted["episodes"], "episodes")
    for error in ("false_positives", "missed"):
        yield Figure(f"{path.name}_{error}", 100.0 * counted[error] / max(1, counted["episodes"]), "per 100")


def _replayed(
    run: RunDirectory, classifier: Path, config: RunConfig, options: Options, rates: Sequence[float]
) -> Iterator[Figure]:
    """The looks of a run again, with errors at every rate, and with each of the rules."""
    from handrail.launch.bench.reward_sweep import looks_of, sweep
    from handrail.reward_classifier import artifact

    found = artifact.load(classifier)
    episodes = looks_of(run, _seeing(config, RewardConfig("operator")).env, found)
    yield from sweep(episodes, rates, found.threshold, options["consecutive"] or found.consecutive)


def errors_of(run: RunDirectory) -> dict[str, int]:
    """How often the classifier was wrong in a run's finished episodes, by what the cell knew.

    A false positive is a success that was none. A success is missed when the module was seated for some looks
    and no success was called.
    """
    from handrail.reward_classifier.stored import SUCCESSES, stored_episodes

    counts = {"episodes": 0, "false_positives": 0, "missed": 0}
    for episode in stored_episodes(LogReader(run.segments)):
        if episode.end is None or not episode.classifier:
            continue
        counts["episodes"] += 1
        first = episode.labels[0] if episode.labels else None
        called = first is not None and said_by_machine(first.who) and first.new in SUCCESSES
        counts["false_positives"] += called and not episode.end.seated
        seated = sum(bool(step.seated) for step in episode.steps)
        counts["missed"] += not called and seated > _LATEST_LOOKS
    return counts


def _handrail(*words: str, passes: tuple[int, ...] = (0,)) -> str:
    """Run a command; returns what it wrote to stdout.

    Raises:
        ChildFailed: it ended with another exit code.
    """
    command: list[Any] = [sys.executable, "-m", "handrail.launch.cli", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in passes:
        said = (result.stderr.strip() or "it said nothing").splitlines()[-1].removeprefix("handrail: ")
        raise ChildFailed(f"handrail {words[0]} failed: {said}", result.returncode)
    return result.stdout
