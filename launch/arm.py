"""`handrail arm state|stop|recover|open|close|tare`: words to a running arm server; and `keys`.

None of them needs the lease: whoever commands the arm, a person may stop it, and only a person acknowledges a
fault. The gripper and the force reading are the operator's while nobody commands the arm.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from rich.console import Console

from handrail.launch import arm_link
from handrail.launch.options import Options, nearest
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ConfigError, HandrailError
from handrail.robot_env.remote.endpoints import make_keys
from handrail.robot_env.remote.messages import State
from handrail.robot_env.remote.operator import ArmOperator, stop_arm

VERBS = ("state", "stop", "recover", "open", "close", "tare", "keys")
_TO_ALL = ("state", "stop")
"""What may be said to every server at once."""


def main(options: Options, overrides: list[str]) -> int:
    """Say one word to the arm server and show what the arm does then.

    Without a word about which one, every server of this user's on this machine is meant: who has to stop an
    arm has no time to look up its name.

    Returns:
        0; of several servers that did not all do it, the worst exit code.

    Raises:
        ConfigError: no such word, nobody is named who acknowledges the fault, or several are meant.
        ArmError: no arm server answers, or the only one refuses.
    """
    verb = overrides[0] if overrides else ""
    if verb not in VERBS:
        raise ConfigError(
            f"`handrail arm` is followed by {', '.join(VERBS[:-1])} or {VERBS[-1]}, not by {verb!r}"
            f"{nearest(verb, VERBS)}"
        )
    if verb == "keys":
        return _make_keys(options["folder"], overrides[1:])
    if verb == "recover" and options["by"] is None:
        raise ConfigError("`handrail arm recover` needs by=<your name>: a fault is acknowledged by a person")
    named = overrides[1:] or options["run"] is not None or options["arm_address"] is not None
    servers = [arm_link.named(options, overrides[1:])] if named else arm_link.around()
    if not servers:
        raise ArmError(
            "no arm server of yours runs on this machine; start one with `handrail arm-server`, or name "
            "another by its station=, run= or arm_address="
        )
    if verb not in _TO_ALL and len(servers) > 1:
        listed = ", ".join(each.arm.server.address for each in servers)
        raise ConfigError(
            f"{len(servers)} arm servers run on this machine; say which: arm_address= one of {listed}"
        )
    with ThreadPoolExecutor(len(servers)) as pool:  # no server waits for another that does not answer
        answers = [pool.submit(_say, verb, options["by"], server) for server in servers]
    if len(servers) == 1:
        _show(answers[0].result(), as_json=options["json"])
        return 0
    worst = 0
    for server, answer in zip(servers, answers, strict=True):
        where = f"{server.arm.server.address}: "
        try:
            _show(answer.result(), where, as_json=options["json"])
        except HandrailError as error:  # the other arms' lines are wanted all the more
            _console(stderr=True).print(f"{where}{error}")
            worst = max(worst, error.exit_code)
    return worst


def _make_keys(folder: str | None, overrides: list[str]) -> int:
    """Make the keys that an arm server off loopback wants."""
    if folder is None or overrides:
        raise ConfigError("`handrail arm keys` needs folder=<a new folder>, and nothing else")
    make_keys(Path(folder))
    _console().print(
        f"Keys in {folder}: the server keeps all of it (env.arm.server.keys={folder}); a client's machine "
        "gets server.key and client.key_secret"
    )
    return 0


def _say(verb: str, by: str, server: EnvConfig) -> State:
    """Say a word to one server; its state after that."""
    if verb == "stop":
        return _stop(server)
    with ArmOperator(server) as operator:
        if verb == "recover":
            operator.recover(by)
        if verb == "open" or verb == "close":
            operator.gripper(verb)
        if verb == "tare":
            operator.tare()
        return arm_link.newest(operator)


def _stop(server: EnvConfig) -> State:
    """Stop one arm before anything else is asked; its state after that."""
    try:
        stop_arm(server)
    except HandrailError as error:
        raise ArmError(f"NOT stopped: {error}; use the emergency stop") from error
    try:
        with ArmOperator(server) as operator:
            return arm_link.newest(operator)
    except HandrailError as error:
        raise ArmError(
            f"stopped, as its server says, but nothing is heard of it now ({error}); look at it"
        ) from error


def _show(state: State, where: str = "", *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(state)) + "\n")
    else:
        _console().print(where + sentence(state))


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)


def sentence(state: State) -> str:
    """A state in one line."""
    counters = state.counters
    words = [
        f"{state.mode.upper()}: {state.fault}" if state.fault else state.mode.upper(),
        f"commanded by {state.commander}" if state.lease else "commanded by nobody",
    ]
    if state.job:
        words.append(f"busy with {state.job}")
    if state.pose:
        xyz = " ".join(f"{value:.3f}" for value in state.pose[:3])
        words += [
            f"tool at {xyz} m",
            f"force {state.force_n:.1f} N",
            f"reading {(state.sent_ns - state.t_ns) / 1e6:.0f} ms old",
        ]
    if state.mode == "run":
        words.append(f"last command {(state.sent_ns - state.command_ns) / 1e6:.0f} ms ago")
    words += [
        f"{counters.overruns} of {counters.ticks} ticks late",
        f"{counters.commands} commands, {counters.dropped} dropped",
        f"watchdog {counters.watchdog} times",
    ]
    return " · ".join(words)
