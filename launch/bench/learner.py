"""The learner's speed: updates, sampling and the policy's answer, beside the machine's matrix products.

Each measurement runs in a process of its own, because the number of threads is fixed when a numerical library
is loaded. Networks, memory and sampler are those of the product; only the numbers in them are random.

With `cameras=2` the policy sees (`learner_cameras`): batches hold feature maps from a filled cache, and
updates/s counts drawing them. Without cameras it does not: `sample_p50` says what that takes.
"""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from handrail.agent.config import AgentConfig, RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench import learner_cameras, learner_diagnostics
from handrail.launch.bench.experience import filled_learner, observations, seeing
from handrail.launch.bench.figures import Figure, matmul_gflops, percentiles
from handrail.launch.bench.side import THREAD_VARIABLES
from handrail.launch.errors import BenchSilent
from handrail.launch.options import Option, Options
from handrail.robot_env.errors import HandrailError

OPTIONS = (
    Option("threads", int, "torch threads of the updates", 2),
    Option("stretch_ms", int, "length of a timed stretch of updates", 500),
    Option("repeats", int, "stretches of each kind; the median counts", 7),
    Option("cameras", ("0", "1", "2"), "128x128 images that the policy sees; 0: those of the task", "0"),
    Option("log_steps", int, "with cameras: steps of the log that is written and reloaded", 10_000),
)
_STORED = 20_000
_STORED_SEEING = 2000
_SAMPLES = 500
_ACTIONS = 2000
_ACTIONS_SEEING = 300
_TIMEOUT_S = 600


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Updates, full and critic-only, sampling, the policy's answer, and diagnostics' share of the time."""
    threads = max(1, options["threads"])
    if options["cameras"] != "0":
        config = seeing(config, int(options["cameras"]))
    sees = bool(config.env.cameras)  # a task's cameras count too
    variants = {
        "2_critics": _plain(config.agent, critics=2),
        "10_critics": _plain(config.agent, critics=10, critic_subset=2),
        "preset": config.agent,
    }
    for name, agent in variants.items():
        varied = dataclasses.replace(config, agent=agent)
        found = _in_process(varied, "updates", threads, options["stretch_ms"], options["repeats"])
        for kind in ("full", "critic_only"):
            rate, gflop = found[kind]["per_s"], found[kind]["gflop"]
            yield Figure(f"{kind}_{name}", rate, "updates/s")
            if not sees:  # the encoder's products are not counted
                yield Figure(f"{kind}_{name}_matmul_share", rate * gflop / matmul_gflops(threads), "1")
    answers = _in_process(config, "answers", 1)
    yield Figure("sample_p50", median(answers["sample_ms"]), "ms")
    yield from percentiles("action", answers["action_ms"], "ms")
    looks = _in_process(config, "diagnostics", threads, options["stretch_ms"], options["repeats"])
    yield from learner_diagnostics.diagnostics_figures(looks)
    if sees:
        yield from learner_cameras.memory_figures(_in_process(config, "memory", 1))
        yield from learner_cameras.measure_log(config, options["log_steps"])


def _plain(agent: AgentConfig, **changes: Any) -> AgentConfig:
    """The update as HIL-SERL computes it: no clone, no imitation, one step."""
    off: dict[str, Any] = {"clone_updates": 0, "second_proposal": False, "imitation_weight": 0.0, "n_step": 1}
    return dataclasses.replace(agent, **{"critic_subset": None, **off, **changes})


def _in_process(config: RunConfig, kind: str, threads: int, *numbers: int) -> dict[str, Any]:
    """What `child` measures in a process with so many threads.

    Raises:
        BenchSilent: It could not measure; the message says why, or that the reason stands above.
    """
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(compose.dump(config))
        code = "import sys; from handrail.launch.bench.learner import child; child(*sys.argv[1:])"
        result = subprocess.run(
            [sys.executable, "-c", code, str(file), kind, *map(str, numbers)],
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
            stdout=subprocess.PIPE,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if result.returncode != 0:
        raise BenchSilent(f"measuring {kind} ended with code {result.returncode}; see what it printed above")
    found = json.loads(result.stdout)
    if "refused" in found:
        raise BenchSilent(f"{kind} cannot be measured: {found['refused']}")
    return found


# In the child
# ---------------------------------------------------------------------------------------------------


def child(file: str, kind: str, *numbers: str) -> None:
    """Measure in this process, and write the result, or why there is none, to stdout as JSON."""
    try:
        found = _measured(Path(file), kind, *map(int, numbers))
    except HandrailError as error:
        found = {"refused": str(error)}
    sys.stdout.write(json.dumps(found))


def _measured(file: Path, kind: str, *numbers: int) -> dict[str, Any]:
    config, run = compose.load(file), RunDirectory(file.parent)
    match kind:
        case "updates":
            return _time_updates(run, config, *numbers)
        case "answers":
            return _time_answers(run, config)
        case "diagnostics":
            return learner_diagnostics.time_diagnostics(run, config, *numbers)
        case _:
            return learner_cameras.time_memory(run, config)


def _time_updates(run: RunDirectory, config: RunConfig, stretch_ms: int, repeats: int) -> dict[str, Any]:
    """Median rate of each kind of update, and the matrix products one of them asks for [GFLOP]."""
    learner = filled_learner(run, config, 2000)
    agent, batches = learner.agent, itertools.cycle([learner.sampler.symmetric() for _ in range(10)])
    # A batch of states is there at once; one with pixels is a part of what an update costs.
    draw = learner.sampler.symmetric if config.env.cameras else lambda: next(batches)
    kinds = {"full": True, "critic_only": False}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for repeat in range(repeats + 1):  # the first warms up
        for kind, with_actor in kinds.items():
            rate = _stretch(partial(agent.update, with_actor=with_actor), draw, stretch_ms / 1e3)
            if repeat > 0:
                rates[kind].append(rate)
    inputs = agent.actor.inputs, agent.critic.inputs
    return {
        kind: {
            "per_s": median(rates[kind]),
            "gflop": update_flops(config.agent, *inputs, agent.actor.outputs, with_actor=with_actor) / 1e9,
        }
        for kind, with_actor in kinds.items()
    }


def _stretch(update: Callable[[Any], object], draw: Callable[[], Any], length_s: float) -> float:
    """Updates per second over a stretch of so many seconds, one update at least."""
    began = now = time.perf_counter()
    count = 0
    while now - began < length_s:
        update(draw())
        count += 1
        now = time.perf_counter()
    return count / (now - began)


def _time_answers(run: RunDirectory, config: RunConfig) -> dict[str, list[float]]:
    """Durations of drawing a batch, and of the policy's answer to one observation [ms]."""
    from handrail.agent.evaluator import Evaluator

    sees = bool(config.env.cameras)
    learner = filled_learner(run, config, _STORED_SEEING if sees else _STORED)
    sample_ms = _durations_ms(learner.sampler.symmetric, _SAMPLES)
    evaluator = Evaluator(run, config, threading.Event(), lambda _: None)
    evaluator.load(learner.weights_frame())
    policy = evaluator.policy
    policy.deterministic = False  # as the actor acts
    seen = observations(config)
    action_ms = _durations_ms(lambda: policy.act(next(seen)), _ACTIONS_SEEING if sees else _ACTIONS)
    evaluator.env.close()
    return {"sample_ms": sample_ms, "action_ms": action_ms}


def _durations_ms(call: Callable[[], object], count: int) -> list[float]:
    durations = []
    for number in range(count + count // 10):
        began = time.perf_counter()
        call()
        if number >= count // 10:  # what came before warmed up
            durations.append((time.perf_counter() - began) * 1e3)
    return durations


def update_flops(
    agent: AgentConfig, actor_inputs: int, critic_inputs: int, actor_outputs: int, *, with_actor: bool
) -> int:
    """Floating-point operations in the matrix products of one update.

    A product of (B, in) and (in, out) is 2·B·in·out; a backward pass has one such product a layer for the
    weights and one for the layer's input (which the first layer needs only where the loss is the actor's).
    """
    actor, actor_first = _member_flops(agent, actor_inputs, actor_outputs)
    critic, critic_first = _member_flops(agent, critic_inputs, 1)
    critics, subset, proposals = (
        agent.critics,
        agent.critic_subset or agent.critics,
        1 + agent.second_proposal,
    )
    target = proposals * (actor + subset * critic)
    total = target + critics * (3 * critic - critic_first)
    if with_actor:
        total += (3 * actor - actor_first) + 2 * critics * critic
        if agent.imitation_weight > 0.0 and agent.imitation_gate:
            total += critics * critic
    return total


def _member_flops(agent: AgentConfig, inputs: int, outputs: int) -> tuple[int, int]:
    """Operations of one network's forward pass, and of its first layer alone."""
    widths = [inputs, *agent.hidden, outputs]
    layers = [2 * agent.batch_size * a * b for a, b in itertools.pairwise(widths)]
    return sum(layers), layers[0]
