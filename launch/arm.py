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
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote.endpoints import make_keys
from handrail.robot_env.remote.messages import State
from handrail.robot_env.remote.operator import ArmOperator

VERBS = ("state", "stop", "recover", "open", "close", "tare", "keys")
_TO_ALL = ("state", "stop")
"""What may be said to every server at once."""


def main(options: Options, overrides: list[str]) -> int:
    """Say one word to the arm server and show what the arm does then.

    Without a word about which one, every server of this user's on this machine is meant: who has to stop an
    arm has no time to look up its name.

    Raises:
        ConfigError: no such word, nobody is named who acknowledges the fault, or several are meant.
        ArmError: no arm server answers, or it refuses.
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
    for server, answer in zip(servers, answers, strict=True):
        where = f"{server.arm.server.address}: " if len(servers) > 1 else ""
        _show(answer.result(), where, as_json=options["json"])
    return 0


def _make_keys(folder: str | None, overrides: list[str]) -> int:
    """Make the keys that an arm server off loopback wants."""
    if folder is None or overrides:
        raise ConfigError("`handrail arm keys` needs folder=<a new folder>, and nothing else")
    make_keys(Path(folder))
    Console(highlight=False, soft_wrap=True, markup=False).print(
        f"Keys in {folder}: the server keeps all of it (env.arm.server.keys={folder}); a client's machine "
        "gets server.key and client.key_secret"
    )
    return 0


def _say(verb: str, by: str, server: EnvConfig) -> State:
    """Say a word to one server; its state after that."""
    with ArmOperator(server) as operator:
        if verb == "stop" and not operator.stop():
            raise ArmError("the arm server did not hear the stop; use the emergency stop")
        if verb == "recover":
            operator.recover(by)
        if verb == "open" or verb == "close":
            operator.gripper(verb)
        if verb == "tare":
            operator.tare()
        return arm_link.newest(operator)


def _show(state: State, where: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(state)) + "\n")
    else:
        Console(highlight=False, soft_wrap=True, markup=False).print(where + sentence(state))


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
