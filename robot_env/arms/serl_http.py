"""An arm behind an existing SERL robot server. (Being built.)"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SerlHttpConfig:
    """Where the SERL server is.

    Attributes:
        url: its address, such as "http://127.0.0.1:5000/"; "" until the station gives it.
    """

    url: str = ""
