"""The pictures of the operator's manual, from real runs: one in the middle of its training, one with cameras.

    python tools/screenshots.py [STEPS]

trains in simulation until the policy has made STEPS steps, lets a person take the controls, then has a
policy with cameras fail for a while, and sets its station up. What the page shows is kept in docs/images/.
How each is taken, and what must be seen on it, is in tests/support/console_pictures.py; a browser test
takes the same ones of smaller runs.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import console_pictures as pictures  # noqa: E402
from console_page import Person  # noqa: E402
from console_run import ConsoleRun, Kept  # noqa: E402

from handrail.launch.bench import console_browser  # noqa: E402
from handrail.launch.bench.console_side import Served, served  # noqa: E402

IMAGES = ROOT / "docs" / "images"
STEPS = 1500
FAILURES = 4
PATIENCE_S = 1200.0
REAL = (  # what `make run` would do, but for an end
    "actor.demonstrations=20",
    "agent.clone_updates=2000",
    "agent.hidden=[256,256]",
    "agent.batch_size=256",
    "learner.training_starts=100",
    "learner.metrics_every=100",
    "operator.level=good",
    "env.task.max_steps=100",
    "evaluation.first_step=500",
    "goal.hold=1000",
)
SEEING = (  # it has learned nothing yet
    "task=ram_insertion_cameras",
    "vision.weights=random",
    "vision.frozen=false",
    "agent.batch_size=16",
    "learner.training_starts=1000000",
    "actor.demonstrations=3",
    "agent.clone_updates=20",
    "agent.hidden=[32,32]",
    "operator.level=budgeted",
    "operator.budget_s=0",
    "env.task.max_steps=60",
    "evaluation.first_step=10000000",
)


def main(words: list[str]) -> int:
    """Train, look, keep; the exit code."""
    steps = int(words[0]) if words else STEPS
    if lacking := console_browser.missing():
        print(lacking, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="handrail-screenshots-") as folder:
        os.chdir(folder)
        store = Path(folder, "runs")  # where a command looks for a run that is only named
        store.mkdir()
        with trained(store, steps) as run, maria(run) as person:
            for name, picture in pictures.LIVE.items():
                keep(name, pictures.take(person, picture, run))
            for name in pictures.DARK:
                keep(f"{name}-dark", pictures.take(person, pictures.LIVE[name], run, "dark"))
        with failed(store) as kept, maria(kept.console) as person:
            for name, picture in pictures.AT_REST.items():
                keep(name, pictures.take(person, picture, kept))
            pictures.rig(person)
            for name, picture in pictures.SET_UP.items():
                keep(name, pictures.take(person, picture, kept))
    return 0


@contextmanager
def trained(folder: Path, steps: int) -> Iterator[ConsoleRun]:
    """A run whose policy has made so many steps, and goes on."""
    run = ConsoleRun(folder, *REAL, run_id="ram-insertion", small=False)
    try:
        run.heard.wait(lambda heard: heard.actor.get("env_steps", 0) >= steps, f"{steps} steps", PATIENCE_S)
        yield run
    finally:
        run.close()


@contextmanager
def failed(folder: Path) -> Iterator[Kept]:
    """A run with cameras in which a policy has failed some times, at rest; and its console."""
    run = ConsoleRun(folder, *SEEING, run_id="ram-by-sight", small=False)
    try:
        run.heard.wait(
            lambda heard: sum(not each.success for each in heard.ended.values()) >= FAILURES,
            f"{FAILURES} failures",
            PATIENCE_S,
        )
    finally:
        run.close()
    with served(folder / "console.out", "console", f"run={run.run.path}", "port=0") as console:
        yield Kept(run.run, console)


@contextmanager
def maria(console: ConsoleRun | Served) -> Iterator[Person]:
    """Somebody who has taken the controls, and wants no sounds."""
    with console_browser.browser() as browser:
        width, height = pictures.SIZE
        person = Person(browser, console.address, width, height)
        person.sign_in(console.tokens["operator"], "Maria")
        person.claim()
        person.press("m")
        yield person
        person.leave()


def keep(name: str, content: bytes) -> None:
    """Keep a picture, and say so."""
    pictures.keep(IMAGES, name, content)
    print(f"console-{name}.png: {len(content) / 1e3:.0f} KB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
