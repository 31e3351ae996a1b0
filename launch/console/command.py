"""`handrail console`: the operator's page beside a run; `console cert` makes a certificate for it."""

import asyncio
import os
from pathlib import Path

from rich.console import Console

from handrail.launch import compose, lifetime, runs
from handrail.launch.console import certificate
from handrail.launch.console.access import Tokens
from handrail.launch.console.address import Address
from handrail.launch.console.child import ROLE
from handrail.launch.console.serving import ConsoleServer
from handrail.launch.options import Options, nearest
from handrail.robot_env.errors import ConfigError

_WORDS = ("cert",)
_NICE = 5


def main(options: Options, overrides: list[str]) -> int:
    """Serve the page until told to stop, or make a certificate.

    Raises:
        ConfigError: the command line is refused, or the address cannot be had.
        RunMissing: no run of that name.
        RunLocked: the run has a console already.
    """
    if overrides:
        word, *rest = overrides
        if word not in _WORDS or rest:
            wrong = rest[0] if word in _WORDS else word
            raise ConfigError(f"`handrail console` has no {wrong!r}{nearest(wrong, _WORDS)}; it has cert")
        return _make_certificate(options)
    folder = None if options["tls"] is None else Path(options["tls"])
    tls = None if folder is None else certificate.context(folder)
    names = _names(options) or (() if folder is None else certificate.names_of(folder))
    address = Address(options["host"], options["port"], names, tls is not None)
    name = options["run"] or next(reversed(runs.existing(options["runs"])), None)
    if name is None:
        raise ConfigError(f"there is no run in {options['runs']} yet: `handrail train` makes one")
    run = runs.find(name, options["runs"])
    config = compose.load(run.config_file)
    given = Tokens.given()
    tokens = given or Tokens.fresh()
    with run.lock(ROLE):  # the controls are lent out once a console: two would lend them twice
        # Whoever gives the tokens knows the address: it is to be that one.
        listener, address = address.bind(moves=given is None)
        stop = lifetime.begin(ROLE)
        os.nice(_NICE)
        if given is None:
            console = Console()
            console.print(f"[bold]Run[/] {run.path}", soft_wrap=True, highlight=False)
            address.tell(console, tokens)

        async def serve() -> None:
            await ConsoleServer(run, config, address, tokens).serve(listener, stop, tls)

        asyncio.run(serve())
    return 0


def _make_certificate(options: Options) -> int:
    if options["folder"] is None:
        raise ConfigError("which folder? Give folder=<where the certificate goes>")
    folder = Path(options["folder"])
    fingerprint = certificate.make(folder, _names(options))
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"Certificate and key are in {folder}, good for {certificate.DAYS} days. The key is for nobody else."
    )
    console.print(f"  handrail train console=0.0.0.0:8710 tls={folder}")
    console.print(
        "The browser will ask whether to trust it, once. Compare what it shows with this fingerprint:"
    )
    console.print(f"  {fingerprint}")
    console.print(f"  openssl x509 -in {folder / certificate.CERTIFICATE} -noout -fingerprint -sha256")
    return 0


def _names(options: Options) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in (options["names"] or "").split(","))))
