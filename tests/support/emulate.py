"""An emulated arm to try commands on: `python tests/support/emulate.py franka|ur`.

It writes a station of its own, prints the commands that use it, to be pasted into other shells, and runs
until Ctrl-C. What happens at the robot is typed here, a line each, in the emulator's own words (`do_…` in
`emulators/franka_server.py` and `emulators/ur/__main__.py`): `protective_stop`, `fault kind=reflex`.
"""

import json
import os
import shlex
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from benches.franka import franka_config
from benches.ur import ur_config
from emulators.franka import FrankaEmulator
from emulators.ur import UREmulator

from handrail.launch import schema
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.config import EnvConfig

STATION = "emulated"
TO_TYPE = {
    "franka": "fault kind=reflex, fault kind=user_stop, release, status",
    "ur": "protective_stop, emergency_stop pressed=true, status",
}


def station(config: EnvConfig) -> str:
    """The file of a station with this arm; a person drives it, and says what has succeeded."""
    kind = config.arm.kind
    arm = replace(config.arm, name=f"emulated-{kind}-{os.getpid()}")
    # A protective stop is not to be unlocked for five seconds: the driver must be more patient than in tests.
    arm = replace(arm, ur=replace(arm.ur, unlock_s=URConfig().unlock_s))
    env = _changed(schema.to_plain(replace(config, arm=arm)), schema.to_plain(EnvConfig()))
    env["reward"] = {"source": "operator"}
    contents = {"defaults": [{"override /arm": kind}, {"override /device": "keyboard"}], "env": env}
    return "# @package _global_\n" + yaml.safe_dump(contents, sort_keys=False)


def _changed(plain: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What of `plain` is not as usual."""
    return {
        key: _changed(value, usual[key])
        if isinstance(value, dict) and isinstance(usual[key], dict)
        else value
        for key, value in plain.items()
        if value != usual[key]
    }


def main(kind: str) -> None:
    """Run one emulator until Ctrl-C or SIGTERM."""
    # Ignored while the emulator starts, and so by the emulator: Ctrl-C in this shell is for this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    emulator = FrankaEmulator() if kind == "franka" else UREmulator()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    with emulator, tempfile.TemporaryDirectory(prefix="handrail-emulated-") as folder:
        config = franka_config(emulator) if isinstance(emulator, FrankaEmulator) else ur_config(emulator)
        file = Path(folder) / "station" / f"{STATION}.yaml"
        file.parent.mkdir()
        file.write_text(station(config))
        _say(f"An emulated {kind} at {emulator.host}. In other shells, the first one left running:")
        for command in ("arm-server", "doctor", "record run=emulated demos=1", "arm state"):
            _say(f"HANDRAIL_CONF={shlex.quote(folder)} handrail {command} station={STATION}")
        _say(f"Ctrl-C ends it. What happens to it is typed here: {TO_TYPE[kind]}")
        try:
            for line in sys.stdin:
                _obey(emulator, line)
            while True:  # nobody can type
                time.sleep(3600.0)
        except KeyboardInterrupt:
            _say("")


def _obey(emulator: FrankaEmulator | UREmulator, line: str) -> None:
    """Do what was typed, and say what comes of it."""
    do, *words = line.split() or ["status"]
    try:
        arguments = {name: _value(text) for name, _, text in (word.partition("=") for word in words)}
        _say(json.dumps(emulator.ask(do, **arguments)))
    except RuntimeError as error:
        _say(str(error))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:] not in (["franka"], ["ur"]):
        raise SystemExit("say which arm: python tests/support/emulate.py franka|ur")
    main(sys.argv[1])
