# MuJoCo ships no type information; its names are checked by running the tests.
from typing import Any

def __getattr__(name: str) -> Any: ...
