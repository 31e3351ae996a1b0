"""The operator's console: camera to screen, buttons, its share of the machine, cost to the control loop.

A control loop's sockets show two cameras of 320 × 240 at 30 frames a second to the console as it is
installed, which serves a real browser, while a learner trains flat out beside them. Then a run in real time,
with nobody and with three people looking on in turns. Then the review of a long log.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench import console_browser as browsers
from handrail.launch.bench.arm_sides import train_flat_out
from handrail.launch.bench.console_pairs import overruns
from handrail.launch.bench.console_review import review
from handrail.launch.bench.console_side import CAMERAS, look_on, processor_s, publish, served
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.bench.loop import rss_mb
from handrail.launch.bench.side import other_side
from handrail.launch.options import Option, Options

OPTIONS = (
    Option("seconds", int, "of video; 0 leaves video and buttons out [s]", 20),
    Option("fps", int, "frames a second and camera", 30),
    Option("presses", int, "of a button", 60),
    Option("load", ("learner", "none"), "what trains meanwhile", "learner"),
    Option("rounds", int, "with and without viewers in turns, each 15 s; 0 leaves the comparison out", 8),
    Option("episodes", int, "in the log that is reviewed; 0 leaves the review out", 1000),
)
P50_MS, P95_MS = 40.0, 100.0
"""Targets of camera to screen."""
_SETTLE_S = 3.0


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Each part in turn."""
    lacking = browsers.missing()
    if lacking:
        sys.stderr.write(f"handrail bench console: nothing is measured in a browser: {lacking}\n")
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        if options["seconds"] and not lacking:
            with browsers.heard():
                yield from _video(Path(folder), options, config)
        if options["rounds"]:
            yield from overruns(Path(folder), options["rounds"])
        if options["episodes"]:
            with contextlib.nullcontext() if lacking else browsers.heard():
                yield from review(Path(folder), options["episodes"], in_browser=not lacking)


def _video(folder: Path, options: Options, config: RunConfig) -> Iterator[Figure]:
    """One viewer, then the operator's buttons, then two viewers more, beside the load."""
    run = RunDirectory(folder / "video").create(compose.dump(config), {})
    seconds = float(options["seconds"])
    with ExitStack() as stack:
        stack.enter_context(run.lock("actor"))
        if options["load"] == "learner":
            threads = config.learner.torch_threads
            load = stack.enter_context(other_side(train_flat_out, str(run.path), threads=threads))
            load.lines.next("training")
        loop = stack.enter_context(other_side(publish, str(run.path), str(options["fps"])))
        loop.lines.next("publishing")
        words = ("console", f"run={run.path}", "port=0")
        console = stack.enter_context(served(folder / "console.out", *words))
        browser = stack.enter_context(browsers.browser())
        pid = console.process.pid
        with browsers.page(browser, console.address, console.tokens["operator"], "bench") as page:
            page.wait_for_timeout(1000.0 * _SETTLE_S)
            before_s = processor_s(pid)
            latencies, took_s = browsers.latencies_ms(page, seconds, CAMERAS)
            share = (processor_s(pid) - before_s) / took_s
            yield from _latency("camera_to_screen", latencies)
            yield Figure("frames_painted", len(latencies) / took_s / len(CAMERAS), "1/s")
            yield Figure("share_one_viewer", 100.0 * share, "% of a core")
            yield Figure("rss_one_viewer", rss_mb(pid), "MB")
            yield from percentiles("button", browsers.presses_ms(page, "p", options["presses"]), "ms")
        with other_side(look_on, console.address, console.tokens["viewer"], "3") as viewers:
            viewers.lines.next("looking")
            time.sleep(_SETTLE_S)
            before_s = processor_s(pid)
            time.sleep(seconds)
            yield Figure(
                "share_three_viewers", 100.0 * (processor_s(pid) - before_s) / seconds, "% of a core"
            )
            yield Figure("rss_three_viewers", rss_mb(pid), "MB")


def _latency(name: str, samples_ms: list[float]) -> Iterator[Figure]:
    """Percentiles, and those that have a target as a share of it: 1 is just met."""
    p50, p95, largest = np.percentile(np.asarray(samples_ms), (50.0, 95.0, 100.0)).tolist()
    yield Figure(f"{name}_p50", p50, "ms")
    yield Figure(f"{name}_p95", p95, "ms")
    yield Figure(f"{name}_max", largest, "ms")
    yield Figure(f"{name}_p50_of_target", p50 / P50_MS, "1")
    yield Figure(f"{name}_p95_of_target", p95 / P95_MS, "1")
