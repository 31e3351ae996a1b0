"""Who drives, and what is remembered: devices, the arbiter, rollouts, and the episode log.

Errors (all under `HandrailError`), with their exit codes:
    LogError         10   the episode log cannot be written or read as asked
    └── SchemaError  10   the log was written by another schema, or for other specs
    RunError         11   a folder is not a run of this version
    RunLocked        12   another process already has this role in the run
    DeviceError      13   a teleoperation device cannot be used as it is
    LabelError       14   a label or an episode that does not exist
    DeskSilent       18   no control loop of the run answered
"""

from handrail.intervention.arbiter import ArbiterState, Decision, Driver, arbitrate
from handrail.intervention.config import (
    ArbiterConfig,
    ButtonsConfig,
    DeviceConfig,
    LogConfig,
    MappingConfig,
    OperatorConfig,
)
from handrail.intervention.device import Device, DeviceError, EpisodeAware, Reading, check_at_rest
from handrail.intervention.gamepad import Gamepad
from handrail.intervention.index import EpisodeIndex, EpisodeRow, Totals
from handrail.intervention.keyboard import Keyboard, TerminalKeys
from handrail.intervention.labeller import Label
from handrail.intervention.labels import (
    LabelError,
    append_comment,
    append_label,
    mark_aborted,
    review_writer,
)
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_format import (
    EpisodeEnd,
    EpisodeStart,
    Event,
    FrameRecord,
    LogError,
    SchemaError,
    SegmentHeader,
    StepRecord,
    decode_record,
)
from handrail.intervention.log_reader import LogReader, TransitionAssembler, iter_transitions
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.operator import SYNTHETIC_MAPPING, SyntheticOperator
from handrail.intervention.policy import Policy, PolicyStep
from handrail.intervention.recovery import Recovery, recover
from handrail.intervention.rollout import Rollout, environment_seed
from handrail.intervention.run_directory import RunDirectory, RunError
from handrail.intervention.spacemouse import SpaceMouse
from handrail.intervention.transition import Source, Transition

__all__ = [
    "SYNTHETIC_MAPPING",
    "ArbiterConfig",
    "ArbiterState",
    "ButtonsConfig",
    "Decision",
    "Device",
    "DeviceConfig",
    "DeviceError",
    "Driver",
    "EpisodeAware",
    "EpisodeEnd",
    "EpisodeIndex",
    "EpisodeRow",
    "EpisodeStart",
    "Event",
    "FrameRecord",
    "Gamepad",
    "Keyboard",
    "Label",
    "LabelError",
    "LogConfig",
    "LogError",
    "LogReader",
    "LogWriter",
    "MappingConfig",
    "OperatorConfig",
    "Policy",
    "PolicyStep",
    "Reading",
    "Recovery",
    "Rollout",
    "RunDirectory",
    "RunError",
    "RunLocked",
    "SchemaError",
    "SegmentHeader",
    "Source",
    "SpaceMouse",
    "StepRecord",
    "SyntheticOperator",
    "TerminalKeys",
    "Totals",
    "Transition",
    "TransitionAssembler",
    "append_comment",
    "append_label",
    "arbitrate",
    "check_at_rest",
    "decode_record",
    "environment_seed",
    "iter_transitions",
    "mark_aborted",
    "recover",
    "review_writer",
]
