"""What every test shares: one thread per numerical library, repeatable examples, hardware left alone.

Single-threaded libraries matter on two cores: a test that spins up eight OpenBLAS threads slows its
neighbours and measures nothing. The variables must be set before numpy is first imported, so they stand at
the top of this file.
"""

import os
import signal

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import structlog  # noqa: E402
from figures import Figure, Figures  # noqa: E402
from retries import run_again_after_a_stall, tell_retries  # noqa: E402

# The same examples on every run: a failure here is a failure there. A wider search is `--hypothesis-
# profile=search`.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent
FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", help="run the tests that need a robot or a device")
    parser.addoption("--figures", type=Path, metavar="PATH", help="run the tests that measure; write to PATH")
    parser.addoption("--pictures", type=Path, metavar="PATH", help="keep pictures of the console there")
    parser.addoption("--phase", choices=("parallel", "realtime"), help="run one phase of `make test` only")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for figures, if they are wanted; and hear Ctrl-C, which a shell's background jobs ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # their children would, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--figures") is not None:
        config.stash[FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was run twice; write the figures and show them."""
    tell_retries(terminalreporter)
    if (figures := config.stash.get(FIGURES, None)) is not None and not config.option.collectonly:
        figures.write(Path(str(config.getoption("--figures"))))
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(figures.table()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A real-time test may be run twice; see `retries`."""
    return run_again_after_a_stall(item, nextitem) if item.get_closest_marker("realtime") else None


def select(config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], bool]) -> None:
    """Leave out what is not wanted."""
    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = filter(wanted, items)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the other phase, what needs hardware (unless asked for) or a GPU, or measures no figure."""
    if FIGURES in config.stash:
        select(config, items, lambda item: "figure" in getattr(item, "fixturenames", ()))
    if phase := config.getoption("--phase"):
        select(config, items, lambda item: bool(item.get_closest_marker("realtime")) == (phase == "realtime"))
    if not config.getoption("--hardware"):
        for item in items:
            if item.get_closest_marker("hardware"):
                item.add_marker(pytest.mark.skip(reason="needs hardware: pass --hardware to run it"))
    if any(item.get_closest_marker("gpu") for item in items):
        import torch

        if not torch.cuda.is_available():
            for item in items:
                if item.get_closest_marker("gpu"):
                    item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def _log_to_nobody_s_stream() -> Iterator[None]:
    """A command run inside a test sets up its log; the next test's streams are others."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _hear_signals_again() -> Iterator[None]:
    """A command that was interrupted inside a test ignores whoever asks again: here, in the next test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Keep what was measured: `figure("reflex to FAULT", 4.2, "ms", limit=10.0)`; see `--figures`."""
    figures = request.config.stash.get(FIGURES, None)
    test = request.node.nodeid.partition("[")[0]

    def keep(name: str, value: float, unit: str, limit: float | None = None) -> None:
        if figures is not None:
            figures.add(test, name, value, unit, limit)

    return keep
