"""`handrail classify collect|train|check|inbox|accept`: a reward classifier, from its examples to its use."""

import importlib

from handrail.launch.options import Options, nearest
from handrail.robot_env.errors import ConfigError

VERBS = ("collect", "train", "check", "inbox", "accept")


def main(options: Options, overrides: list[str]) -> int:
    """Do what the word after `classify` says.

    Raises:
        ConfigError: there is no such word.
    """
    verb = overrides[0] if overrides else ""
    if verb not in VERBS:
        raise ConfigError(
            f"`handrail classify` is followed by {', '.join(VERBS[:-1])} or {VERBS[-1]}, not by {verb!r}"
            f"{nearest(verb, VERBS)}"
        )
    return importlib.import_module(f"handrail.launch.classify.{verb}").main(options, overrides[1:])
