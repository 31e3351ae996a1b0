"""The console as one more process of a run, which the others do without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console.access import Tokens
from handrail.launch.console.address import LISTENER, Address
from handrail.launch.processes import ProcessSpec

ROLE = "console"


@contextmanager
def alongside(
    run: RunDirectory,
    address: Address | None,
    console: Console,
    tls: Path | None = None,
    *,
    asked: bool = False,
) -> Iterator[list[ProcessSpec]]:
    """The console of a run, for a supervisor to start while the block runs; prints where it is to be found.

    The supervisor holds the socket and the tokens: the address is good from the moment it is printed, and a
    console that is started again finds whoever was signed in still signed in, and waiting. One that has ended
    for good takes the socket with it: whoever comes then is refused instead of kept waiting.

    Args:
        run: the run's directory.
        address: where it listens; where that is taken, on another port of the same host. None for no console.
        console: where to print.
        tls: folder of the certificate and the key, which the console reads itself; where the address is a
            secure one.
        asked: whether somebody wants it at that address; else the run does without where it has a console.

    Raises:
        ConfigError: nothing there can be listened to.
        RunLocked: the run has a console already, which is not the one that was asked for.
    """
    if address is None:
        yield []
        return
    try:
        run.lock(ROLE).release()
    except RunLocked as held:
        if asked:
            raise RunLocked(
                f"No console at {address.url()}: {held} Without console= and tls= that one is used."
            ) from None
        console.print(f"No console of its own: {held}", soft_wrap=True, highlight=False)
        yield []
        return
    listener, address = address.bind(moves=True)
    with listener:
        tokens = Tokens.given() or Tokens.fresh()
        address.tell(console, tokens)
        command = (sys.executable, "-m", "handrail.launch.cli", "console", f"run={run.path}")
        inherited = {LISTENER: str(listener.fileno()), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        spec = ProcessSpec(
            ROLE,
            (*command, f"host={address.host}", f"port={address.port}", *([f"tls={tls}"] if tls else [])),
            run.logs / "console.log",
            tokens.environment() | inherited,
            optional=True,
            pass_fds=(listener.fileno(),),
            on_given_up=listener.close,
        )
        yield [spec]
