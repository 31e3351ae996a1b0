"""What the learner's looks at itself cost, beside the updates of the same process and minute."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from handrail.agent.config import RunConfig
from handrail.intervention.log_format import EpisodeEnd, encode_record, step_record
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source
from handrail.launch.bench.experience import EPISODE_STEPS, filled_learner, transitions
from handrail.launch.bench.figures import Figure
from handrail.robot_env.spec import state_spec

_STORED = 2000
_EVERY = 100  # where the configuration has none
_DEMONSTRATIONS = (0, 5, 10)  # of the episodes that a human drove
_UNAIDED = (1, 2, 3, 4, 6, 7, 8, 9)
_HUMAN_SHARE = 0.2  # of environment steps


def diagnostics_figures(found: dict[str, Any]) -> Iterator[Figure]:
    """The share of the learner's time, and what it is made of."""
    look, stored, human = (median(found[name]) for name in ("look_ms", "stored_ms", "human_ms"))
    spent = look + stored + human * found["human_steps"]
    yield Figure("diagnostics_share", spent / (spent + found["every"] * median(found["update_ms"])), "1")
    yield Figure("diagnostics_look_p50", look, "ms")
    yield Figure("diagnostics_stored_p50", stored, "ms")
    yield Figure("diagnostics_human_step_p50", human, "ms")


def time_diagnostics(run: RunDirectory, config: RunConfig, stretch_ms: int, repeats: int) -> dict[str, Any]:
    """Durations of an update, of a look, of handing it on to be stored, and of a look at a human's step [ms].

    Each look comes with an unaided episode that has just finished: more than there are in fact.
    """
    from handrail.agent.metrics import Scalars

    every = config.diagnostics.every_updates or _EVERY
    config = dataclasses.replace(
        config, diagnostics=dataclasses.replace(config.diagnostics, every_updates=every)
    )
    learner = filled_learner(run, config, _STORED)
    for episode in _DEMONSTRATIONS:
        learner.memory.label(episode, "demo")
    driven = next(t for t in transitions(1, state_spec(config.env)) if t.source is Source.HUMAN)
    human = step_record(driven)
    update_ms: list[float] = []
    look_ms: list[float] = []
    stored_ms: list[float] = []
    human_ms: list[float] = []
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        scalars = Scalars(Path(folder) / "tensorboard", Path(folder) / "diagnostics.db")
        for repeat in range(repeats + 1):
            until = time.perf_counter() + stretch_ms / 1e3
            _timed(update_ms, learner.update)
            while time.perf_counter() < until:
                _timed(update_ms, learner.update)
            episode = _UNAIDED[repeat % len(_UNAIDED)]
            end = EpisodeEnd(episode, EPISODE_STEPS, True, None, True, 0, 0, 0.0, 0)
            learner.ingest(learner.history.sequence + 1, encode_record(end))
            learner.diagnostics.take(human, learner.memory.oldest + repeat, fresh=True)
            _timed(human_ms, learner.diagnostics.before_update)
            found = _timed(look_ms, partial(learner.diagnostics.after_update, every))
            _timed(stored_ms, partial(scalars.add_diagnostics, 0, 0, found.scalars, found.snapshots))
            if repeat == 0:  # it only warmed up
                for durations in (update_ms, look_ms, stored_ms, human_ms):
                    durations.clear()
        scalars.close()
    learner.close()
    return {
        "update_ms": update_ms,
        "look_ms": look_ms,
        "stored_ms": stored_ms,
        "human_ms": human_ms,
        "every": every,
        "human_steps": _HUMAN_SHARE * every / config.agent.utd,
    }


def _timed(durations_ms: list[float], call: Callable[[], Any]) -> Any:
    """What a call returns; how long it took goes into the list."""
    began = time.perf_counter()
    found = call()
    durations_ms.append((time.perf_counter() - began) * 1e3)
    return found
