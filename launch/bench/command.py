"""`handrail bench <name>`: find the benchmark, run it, print its figures."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import Protocol, cast

from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.launch import bench as package
from handrail.launch import compose
from handrail.launch.bench.figures import Figure, json_line, matmul_gflops
from handrail.launch.options import Option, Options, nearest, split
from handrail.robot_env.errors import ConfigError


class Bench(Protocol):
    """What a benchmark's module has."""

    OPTIONS: tuple[Option, ...]

    def measure(self, options: Options, config: RunConfig) -> Iterator[Figure]:
        """Yield each figure as soon as it is measured."""
        ...


def benches() -> dict[str, Bench]:
    """Every benchmark there is, by name."""
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        if hasattr(module, "measure"):
            found[info.name] = cast(Bench, module)
    return found


def main(options: Options, overrides: list[str]) -> int:
    """Run one benchmark.

    Raises:
        ConfigError: there is no such benchmark, or an option or override is refused.
    """
    known = benches()
    name = overrides[0] if overrides else ""
    if name not in known:
        raise ConfigError(f"no benchmark {name!r}{nearest(name, known)} (there are: {', '.join(known)})")
    own, rest = split(overrides[1:], known[name].OPTIONS)
    config = compose.compose(rest).config
    console = Console(highlight=False, soft_wrap=True)
    if not options["json"]:
        console.print(
            f"[dim]this machine multiplies matrices at {matmul_gflops():.0f} GFLOP/s (two threads)[/]"
        )
    for figure in known[name].measure(own, config):
        if options["json"]:
            sys.stdout.write(json_line(name, figure) + "\n")
            sys.stdout.flush()
        else:
            console.print(f"{figure.name:<32} {figure.value:>12.6g} {figure.unit}")
    return 0
