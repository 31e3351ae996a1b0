"""The pictures of the operator's manual, from a real run in the middle of its training.

    python tools/screenshots.py [STEPS]

trains in simulation until the policy has made STEPS steps, lets a person take the controls, and keeps what
the page shows in docs/images/console-*.png: 1280 x 720, at most 200 KB each.
"""

import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from console_page import Person  # noqa: E402
from console_run import ConsoleRun  # noqa: E402
from PIL import Image  # noqa: E402

from handrail.launch.bench import console_browser  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST = 200_000
STEPS = 1500
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


def main(words: list[str]) -> int:
    """Train, look, keep; the exit code."""
    steps = int(words[0]) if words else STEPS
    if lacking := console_browser.missing():
        print(lacking, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="handrail-screenshots-") as folder:
        run = ConsoleRun(Path(folder), *REAL, run_id="ram-insertion", small=False)
        try:
            run.heard.wait(
                lambda heard: heard.actor.get("env_steps", 0) >= steps, f"{steps} steps", PATIENCE_S
            )
            with console_browser.browser() as browser:
                for scheme in ("light", "dark"):
                    look(run, browser, scheme)
        finally:
            run.close()
    return 0


def look(run: ConsoleRun, browser, scheme: str) -> None:
    """Every view in one scheme."""
    maria = Person(browser, run.address, scheme=scheme)
    maria.sign_in(run.tokens["operator"], "Maria")
    maria.claim()
    maria.press("m")
    dark = "" if scheme == "light" else "-dark"
    maria.drive()
    run.heard.until(
        lambda now: now.running and now.real_time and now.driver == "policy" and now.step > 12, "a step"
    )
    maria.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    maria.page.mouse.move(0, 0)
    keep(maria, f"console-run{dark}")
    if scheme == "light":
        maria.page.keyboard.down("s")
        run.heard.until(lambda now: now.driver == "human", "a human at the wheel")
        maria.expect_driver("human")
        maria.page.wait_for_timeout(1000)
        keep(maria, "console-human")
        maria.page.keyboard.up("s")
    maria.let_go()
    maria.go("critic")
    maria.page.wait_for_selector("#shares canvas")
    maria.page.wait_for_timeout(2500)
    keep(maria, f"console-critic{dark}")
    if scheme == "light":
        maria.go("review")
        maria.page.wait_for_selector("table#episodes tbody tr[data-episode]")
        maria.page.wait_for_timeout(1500)
        keep(maria, "console-review")
        ended = max(run.heard.ended)
        maria.go(f"review/{ended}")
        maria.page.wait_for_selector(f'#episode[data-episode="{ended}"]')
        maria.page.wait_for_timeout(1500)
        keep(maria, "console-episode")
        maria.go("setup")
        maria.page.click('button[data-job="preflight"]')
        maria.page.wait_for_timeout(6000)
        keep(maria, "console-setup")
    maria.act("release").click()
    maria.expect_lease("none")
    maria.leave()


def keep(person: Person, name: str) -> None:
    """Keep what the page shows, with as many colours as there is room for."""
    shown = Image.open(io.BytesIO(person.page.screenshot())).convert("RGB")
    for colours in (256, 128, 64, 32):
        data = io.BytesIO()
        shown.quantize(colours, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
        if data.tell() <= LARGEST:
            break
    (IMAGES / f"{name}.png").write_bytes(data.getvalue())
    print(f"{name}.png: {data.tell() / 1e3:.0f} KB, {colours} colours")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
