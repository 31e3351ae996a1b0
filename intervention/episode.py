"""What is known of the running episode: counters, the latest observation, and how it came to its end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from handrail.intervention.arbiter import Decision
from handrail.intervention.device import Button, Reading
from handrail.intervention.labeller import TASK, Label, classifier_name
from handrail.intervention.labels import label_event
from handrail.intervention.log_format import EpisodeEnd, Event, FrameRecord, frame_id
from handrail.intervention.policy import Policy, PolicyStep
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.observation import images_of

Purpose = Literal["train", "demo", "classify", "evaluate"]
Execute = Callable[[np.ndarray], tuple[Mapping[str, np.ndarray], Any, bool, bool, Mapping[str, Any]]]
"""Executes an action and returns what `gymnasium.Env.step` does."""

ABANDONED = "abandoned"
"""What cut an episode that its operator gave up without a verdict: no result of the policy's."""

# The first one held down counts.
_VERDICTS = {"success": Label.SUCCESS, "failure": Label.FAILURE, "discard": Label.EXCLUDE}


class Heard(NamedTuple):
    """What is known of the operator's will by the end of a step.

    Attributes:
        reading: of the device, with what was pressed within the step; believed while it is connected.
        said: verdicts, and "abandon", from elsewhere: believed whatever the device is.
    """

    reading: Reading
    said: frozenset[Button] = frozenset()


@dataclass(slots=True)
class RunningEpisode:
    """One episode, from its reset to its end.

    Attributes:
        episode: its number.
        purpose: "train"; "demo"; "classify": an operator shows a classifier what success looks like; or
            "evaluate": what a policy can do is counted, and nothing learns from it.
        policy: who proposes actions; None proposes to stand still.
        observation: the latest observation: "state" (D,) float32, every other key a camera (H, W, 3) uint8.
        info: what came with it.
        action_size: number of action components.
        held: buttons that were down at the last look; a verdict is a press, not a button that stays down.
        steps: steps taken.
        human_steps: steps a human drove.
        takeovers: times a human took over.
        peak_force_n: largest force on the tool so far [N].
        success: whether the task or the operator called it a success.
        truncated_by: what cut it short, if anything.
        verdict: what the operator's buttons called it, if anything.
    """

    episode: int
    purpose: Purpose
    policy: Policy | None
    observation: Mapping[str, np.ndarray]
    info: Mapping[str, Any]
    action_size: int
    held: frozenset[Button] = frozenset()
    steps: int = 0
    human_steps: int = 0
    takeovers: int = 0
    peak_force_n: float = 0.0
    success: bool = False
    truncated_by: str | None = None
    verdict: Label | None = None
    _earned: float = field(default=0.0, init=False)  # by the stages that were reached
    _human_drove: bool = field(default=False, init=False)
    _stuck: frozenset[Button] = field(default=frozenset(), init=False)

    def __post_init__(self) -> None:
        self._stuck = self.held

    @property
    def t_ns(self) -> int:
        """When the latest observation was taken [ns]."""
        return int(self.info["t_ns"])

    @property
    def look_ms(self) -> float:
        """How long a reward classifier looked at the latest observation before anybody else could [ms]."""
        return float(self.info.get("look_ms", 0.0))

    def propose(self) -> PolicyStep:
        """Return what the policy would do now."""
        if self.policy is None:
            return PolicyStep(np.zeros(self.action_size, np.float32), -1)
        return self.policy.act(self.observation)

    def step(
        self,
        execute: Execute,
        proposal: PolicyStep,
        decision: Decision,
        heard: Callable[[], Heard],
        latency_ms: float,
    ) -> Transition:
        """Execute a decision and return the transition; the operator's verdict stands over the task's.

        The action stored is the one that was executed: an environment that knows better says so in its info.
        What the operator says is `heard` after it was executed, so that no word on its end comes too late.
        """
        before, t_ns, source = self.observation, self.t_ns, self._source(decision)
        action = np.clip(decision.action, -1.0, 1.0).astype(np.float32)
        observation, reward, terminated, truncated, info = execute(action)
        action = np.asarray(info.get("action", action), np.float32)
        self.observation, self.info = observation, info
        reward, terminated, truncated = self._judged(
            heard(), float(reward), bool(terminated), bool(truncated)
        )
        self._count(source)
        return Transition(
            episode=self.episode,
            step=self.steps - 1,
            observation=before["state"],
            action=action,
            policy_action=np.asarray(proposal.action, np.float32),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            next_observation=observation["state"],
            source=source,
            t_ns=t_ns,
            wall_ns=time.time_ns(),
            weights_version=proposal.weights_version,
            gate_flags=int(info.get("gate_flags", 0)),
            score=info.get("score"),
            latency_ms=latency_ms,
            log_prob=proposal.log_prob if source is Source.POLICY else None,
            images=images_of(before),
            next_images=images_of(observation),
            classifier=info.get("classifier", ""),
            seated=info.get("seated"),
            value=proposal.value,
        )

    def frames(self) -> list[FrameRecord]:
        """Return the latest observation's images as records."""
        ids = self.frame_ids(self.steps)
        return [
            FrameRecord(ids[name], name, self.t_ns, image.shape, image.tobytes())
            for name, image in images_of(self.observation).items()
        ]

    def frame_ids(self, index: int) -> dict[str, int]:
        """Return the ids of the images after `index` steps, by camera."""
        cameras = images_of(self.observation)
        return {name: frame_id(self.episode, index, camera) for camera, name in enumerate(cameras)}

    def end(self, operator: str = "") -> EpisodeEnd:
        """Return the record that closes the episode; `operator` is who was at the device."""
        return EpisodeEnd(
            episode=self.episode,
            steps=self.steps,
            success=self.success,
            truncated_by=self.truncated_by,
            unaided=self.human_steps == 0,
            human_steps=self.human_steps,
            takeovers=self.takeovers,
            peak_force_n=self.peak_force_n,
            wall_ns=time.time_ns(),
            seated=self.info.get("seated"),
            operator=operator,
        )

    def labels(self, operator: str) -> list[Event]:
        """Return the label the episode ends with, if any: the operator's verdict, or else the success."""
        demonstrated = self.purpose == "demo" and self.success and self.verdict is not Label.EXCLUDE
        if self.purpose == "classify" and self.verdict is not Label.EXCLUDE:
            return []
        label = Label.DEMO if demonstrated else self.verdict or (Label.SUCCESS if self.success else None)
        if label is None:
            return []
        judge = classifier_name(self.info.get("classifier", "")) or TASK
        return [label_event(self.episode, None, label, judge if self.verdict is None else operator)]

    def _source(self, decision: Decision) -> Source:
        """Without a policy, standing still is nobody's choice."""
        nobody = self.policy is None and decision.source is Source.POLICY
        return Source.SCRIPT if nobody else decision.source

    def _judged(
        self, heard: Heard, reward: float, terminated: bool, truncated: bool
    ) -> tuple[float, bool, bool]:
        """(reward, terminated, truncated) after the operator's buttons have had their say.

        A whole episode is worth 1, whoever says so: a success by the button pays what its stages have left.
        """
        reading = heard.reading
        pressed = heard.said | (reading.buttons - self.held if reading.connected else frozenset())
        self.held = reading.buttons
        if self.purpose == "classify":
            return self._shown(reading, pressed, truncated)
        self.verdict = next((v for name, v in _VERDICTS.items() if name in pressed), None)
        match self.verdict:
            case Label.SUCCESS:
                reward, terminated, truncated = 1.0 - self._earned, True, False
            case Label.FAILURE:
                reward, terminated, truncated = 0.0, False, True
            case Label.EXCLUDE:
                truncated = not terminated
        if "abandon" in pressed and self.verdict is None and not terminated:
            truncated, self.truncated_by = True, ABANDONED
        self._earned += max(reward, 0.0)
        self.success = terminated
        self._note_truncation(truncated)
        return reward, terminated, truncated

    def _shown(
        self, reading: Reading, pressed: frozenset[Button], truncated: bool
    ) -> tuple[float, bool, bool]:
        """(reward, terminated, truncated) of a step that is an example for a classifier.

        The success button is no verdict here: a step is a success while it is held down, and the episode goes
        on until the failure button (which then only means "next"), the discard button or the time ends it. A
        button still down from before the episode says nothing; a device that is lost, nothing of success.
        """
        self._stuck &= reading.buttons
        if not reading.connected or "discard" in pressed:
            self.verdict = Label.EXCLUDE
        else:
            self.verdict = Label.FAILURE if "failure" in pressed else None
        held = reading.connected and "success" in reading.buttons - self._stuck
        if "abandon" in pressed and self.verdict is None:
            truncated, self.truncated_by = True, ABANDONED
        self._note_truncation(ended := truncated or self.verdict is not None)
        return float(held), False, ended

    def _note_truncation(self, truncated: bool) -> None:
        if truncated and self.truncated_by is None:
            self.truncated_by = "operator" if self.verdict else self.info.get("truncated_by") or "time_limit"

    def _count(self, source: Source) -> None:
        human = source is Source.HUMAN
        self.steps += 1
        self.human_steps += human
        self.takeovers += human and not self._human_drove
        self._human_drove = human
        self.peak_force_n = max(self.peak_force_n, float(self.info.get("peak_force_n", 0.0)))
