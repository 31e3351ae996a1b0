"""When to step in: one sentence for whoever stands beside the arm, from what the last episodes were.

The policy learns from its own mistakes only where it may make them, and from success only where it sees
some. So: let every episode try by itself first; while it seldom gets there, help about one in three to the
end; help fewer as it succeeds alone, and in the end none.

What is advised for an episode is settled when the episode begins and stays, and the stages have two
thresholds each, so the sentence does not flicker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["wait", "show", "explore", "help", "helping", "watch", "hands-off", "let-go"]
Stage = Literal["early", "taper", "alone"]

EXPLORE_STEPS = 25
"""So many steps of an episode are the policy's own before anybody helps: 2.5 s at 10 Hz."""
WINDOW = 10
"""Finished episodes that a stage is judged by."""
HELP_ONE_IN: dict[Stage, int | None] = {"early": 3, "taper": 6, "alone": None}
"""Of how many episodes one is helped to finish; None: of none."""
_RISE = {"taper": 4, "alone": 8}  # unaided successes of the last WINDOW at which a stage is entered
_FALL = {"taper": 2, "alone": 5}  # and at which it is left again


@dataclass(frozen=True)
class Scene:
    """What the coach looks at.

    Attributes:
        purpose: "train", "demo", "classify" or "evaluate"; "setup" where nothing is recorded.
        driver: as in `intervention.console.messages.Now`.
        running: whether an episode runs.
        episode: its number.
        step: its steps so far.
        most_steps: after which its time is over.
        unaided: of finished training episodes, oldest first: success without a human step.
        succeeded: of the same episodes: success at all.
        demonstrations: that are there.
        wanted: demonstrations that are asked for.
    """

    purpose: str = "train"
    driver: str = "policy"
    running: bool = True
    episode: int = 0
    step: int = 0
    most_steps: int = 100
    unaided: Sequence[bool] = ()
    succeeded: Sequence[bool] = ()
    demonstrations: int = 0
    wanted: int = 0


@dataclass(frozen=True)
class Coaching:
    """What to do now, in one sentence, and the state of the coach that it comes from."""

    sentence: str
    state: State


class Coach:
    """Remembers the stage, and what was settled for the episode that runs. One thread may use it.

    Attributes:
        stage: what the last sentence was said in; whoever else speaks of help takes it from here.
    """

    def __init__(self) -> None:
        self.stage: Stage = "early"
        self._episode: int | None = None
        self._to_help = False
        self._human_drove = False

    def advise(self, scene: Scene) -> Coaching:
        """What to do in `scene`; call it whenever the scene changes."""
        if scene.purpose == "demo":
            if scene.demonstrations >= scene.wanted:
                return Coaching("Wait: it is learning from what you have shown.", "wait")
            return Coaching(_show(scene), "show")
        if scene.purpose == "evaluate":
            return Coaching("Hands off: what it can do alone is being counted.", "hands-off")
        if scene.purpose != "train":
            return Coaching("Nothing is being trained here.", "wait")
        alone = sum(map(bool, scene.unaided[-WINDOW:]))
        if scene.running and scene.episode != self._episode:
            self._begin(scene, alone)
        if not scene.running:
            return self._between(scene, alone)
        human = scene.driver == "human"
        self._human_drove = self._human_drove or human
        if self.stage == "alone":
            return _alone(scene, alone, human)
        if self._to_help:
            return self._helped(scene)
        return self._watched(scene, human)

    def _begin(self, scene: Scene, alone: int) -> None:
        self.stage = _next_stage(self.stage, alone)
        self._episode = scene.episode
        self._to_help = _due(self.stage, scene)
        self._human_drove = False

    def _between(self, scene: Scene, alone: int) -> Coaching:
        self.stage = _next_stage(self.stage, alone)
        if self.stage == "alone":
            return Coaching(f"Hands off in the next one, too: {_record(scene, alone)}.", "wait")
        if _due(self.stage, scene):
            return Coaching(f"Next: let it try for {_explore(scene)} steps, then help it to finish.", "wait")
        return Coaching("Next: let it try, and let it finish alone.", "wait")

    def _helped(self, scene: Scene) -> Coaching:
        if self._human_drove:
            return Coaching("Take this one to the end, then let the next one try.", "helping")
        if scene.step < _explore(scene):
            return Coaching(f"Let it try: {scene.step} of {_explore(scene)} steps.", "explore")
        return Coaching("Help this one to finish.", "help")

    def _watched(self, scene: Scene, human: bool) -> Coaching:
        if human:
            return Coaching("Hand back soon: this one may fail, that teaches it, too.", "let-go")
        if scene.step < _explore(scene):
            return Coaching(f"Let it try: {scene.step} of {_explore(scene)} steps.", "explore")
        one_in = HELP_ONE_IN[self.stage]
        return Coaching(f"Let it finish alone: help in one of {one_in} episodes is enough.", "watch")


def _alone(scene: Scene, alone: int, human: bool) -> Coaching:
    if human:
        return Coaching(f"Let go: {_record(scene, alone)}.", "let-go")
    return Coaching(f"Hands off: {_record(scene, alone)}.", "hands-off")


def _next_stage(stage: Stage, alone: int) -> Stage:
    if alone >= _RISE["alone"] or (stage == "alone" and alone > _FALL["alone"]):
        return "alone"
    if alone >= _RISE["taper"] or (stage != "early" and alone > _FALL["taper"]):
        return "taper"
    return "early"


def _due(stage: Stage, scene: Scene) -> bool:
    """Whether the episode that comes is one to help: none of the last few was helped to finish."""
    one_in = HELP_ONE_IN[stage]
    if one_in is None:
        return False
    last = list(zip(scene.unaided, scene.succeeded, strict=False))[-(one_in - 1) :]
    return len(last) == one_in - 1 and not any(succeeded and not alone for alone, succeeded in last)


def _explore(scene: Scene) -> int:
    return min(EXPLORE_STEPS, max(1, scene.most_steps // 3)) if scene.most_steps else EXPLORE_STEPS


def _record(scene: Scene, alone: int) -> str:
    return f"{alone} of the last {min(WINDOW, len(scene.unaided))} unaided"


def _show(scene: Scene) -> str:
    return f"Show it: demonstration {scene.demonstrations + 1} of {scene.wanted}, calmly and to the end."
