import pytest

from handrail.intervention.config import (
    OPERATOR_LEVELS,
    ArbiterConfig,
    LogConfig,
    MappingConfig,
    OperatorConfig,
)
from handrail.robot_env.errors import ConfigError


def test_the_defaults_are_valid_and_every_level_exists() -> None:
    for make in (ArbiterConfig, LogConfig, MappingConfig, OperatorConfig):
        make()
    for level in OPERATOR_LEVELS:
        OperatorConfig(level=level)


@pytest.mark.parametrize(
    ("make", "values", "named"),
    [
        (MappingConfig, {"dead_zone": 0.9}, r"mapping\.dead_zone is 0\.9"),
        (MappingConfig, {"operator_deg": 400.0}, r"mapping\.operator_deg is 400"),
        (MappingConfig, {"smoothing_s": float("nan")}, r"mapping\.smoothing_s is nan"),
        (MappingConfig, {"axes": (0, 1, 2, 3, 4, 6)}, r"mapping\.axes"),
        (MappingConfig, {"gain": (2.0, 1, 1, 1, 1, 1)}, r"mapping\.gain"),
        (ArbiterConfig, {"release": 0.2}, r"arbiter\.release is 0\.2 and arbiter\.takeover 0\.1"),
        (ArbiterConfig, {"takeover_samples": 0}, r"arbiter\.takeover_samples is 0"),
        (ArbiterConfig, {"stale_s": 150.0}, r"arbiter\.stale_s is 150"),
        (OperatorConfig, {"level": "genius"}, "'genius'; choose one of none, novice"),
        (OperatorConfig, {"min_drive_s": 0.1}, r"operator\.min_drive_s is 0\.1, outside \[0\.5"),
        (OperatorConfig, {"max_drive_s": 0.6}, r"operator\.min_drive_s"),
        (OperatorConfig, {"taper_episodes": 0}, r"operator\.taper_episodes"),
        (LogConfig, {"segment_bytes": 10}, r"log\.segment_bytes is 10"),
        (LogConfig, {"reserve_bytes": -1}, r"log\.reserve_bytes is -1"),
    ],
)
def test_a_bad_value_is_refused_by_name(make: type, values: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make(**values)
