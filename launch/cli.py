"""The `handrail` command: find the command, read its words, end with one clear line and an exit code.

Heavy packages are imported by the commands that use them, so that `--help` and a refused word answer at once.
"""

import importlib
import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from handrail.launch.commands import COMMANDS, Command
from handrail.launch.errors import EXIT_CODES
from handrail.launch.options import Option, nearest, refuse, split
from handrail.launch.visible import visible
from handrail.robot_env.errors import ConfigError, HandrailError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the entry point of `handrail`.

    Args:
        arguments: the words after `handrail`; by default those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # `handrail review | head`: the reader has seen enough (rich turns that into SystemExit, and nothing
        # else here exits). Python must not complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("HANDRAIL_DEBUG") == "1":
            raise
        if isinstance(error, HandrailError):
            _complain(str(error))
            return error.exit_code
        _complain(
            f"unexpected {type(error).__name__}: {error} (HANDRAIL_DEBUG=1 shows where; please report it)"
        )
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        _overview()
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        _say(f"handrail {version('handrail')}")
        return 0
    name, *rest = words
    command = COMMANDS.get(name)
    if command is None:
        shown = [known for known, each in COMMANDS.items() if not each.hidden]
        raise ConfigError(f"no command {name!r}{nearest(name, shown)} (there are: {', '.join(shown)})")
    if {"-h", "--help"} & set(rest):
        _help(name, command)
        return 0
    options, overrides = split(rest, command.options)
    if not command.configured:
        # A key of the configuration has a dot, and no option does.
        keys = [word for word in overrides if "." in word.partition("=")[0]] if command.hardware else []
        refuse([word for word in overrides if word not in keys], command.options, name)
    module = importlib.import_module(f"handrail.launch.{command.module}")
    return module.main({**options, "command": name}, overrides)


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text)


def _complain(message: str) -> None:
    """One line on stderr, whatever the message holds."""
    line = visible(" ".join(message.split()))
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]handrail:[/] {escape(line)}")


def _overview() -> None:
    lines = ["[bold]handrail[/] <command> \\[option=value …] \\[configuration overrides …]", ""]
    lines += [f"  [bold]{name:<10}[/] {each.summary}" for name, each in COMMANDS.items() if not each.hidden]
    lines += ["", "`handrail <command> --help` shows a command's options and an example.", "", "Exit codes:"]
    lines += [f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items()]
    _say("\n".join(lines))


def _help(name: str, command: Command) -> None:
    lines = [f"[bold]handrail {name}[/]: {command.summary}", "", f"  {escape(command.example)}", ""]
    options = command.options
    if name == "bench":
        from handrail.launch.bench.command import benches

        for bench, module in benches().items():
            lines.append(f"[bold]handrail bench {bench}[/]: {(module.__doc__ or '').splitlines()[0]}")
            lines += _option_lines(module.OPTIONS)
        lines.append("")
    if options:
        lines += ["Options:", *_option_lines(options), ""]
    if command.hardware:
        from handrail.launch.changeable import HARDWARE

        lines.append("With a real arm, of the run's configuration and for this time alone:")
        lines += [f"  {key}=…" for key in HARDWARE]
    if command.configured:
        from handrail.launch.compose import groups

        lines.append("Configuration (any key of the run's config.yaml, such as env.hz=20), and its choices:")
        lines += [f"  {group}={'|'.join(choices)}" for group, choices in groups().items()]
    _say("\n".join(lines).rstrip())


def _option_lines(options: Sequence[Option]) -> list[str]:
    lines = []
    for option in options:
        kind = "|".join(option.kind) if isinstance(option.kind, tuple) else option.kind.__name__
        default = "" if option.default in (None, False) else f" (default {option.default})"
        word = (
            f"--{option.name}"
            if option.kind is bool and option.default is False
            else f"{option.name}=<{kind}>"
        )
        lines.append(f"  {escape(word):<32} {escape(option.help)}{default}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
