"""A learner that hears that the only label of an episode was taken back has never heard of it."""

import numpy as np
import pytest

from handrail.agent.history import RunHistory
from handrail.agent.replay import ReplayMemory
from handrail.intervention.labeller import Label
from handrail.intervention.log_format import Event
from handrail.intervention.transition import Source, Transition

STEPS = 4


def memory(purpose: str, success: bool) -> ReplayMemory:
    found = ReplayMemory(64, 2, 1)
    found.begin(0, purpose)
    for number in range(STEPS):
        last = number == STEPS - 1
        found.add(
            Transition(
                episode=0,
                step=number,
                observation=np.array([0, number], np.float32),
                action=np.zeros(1, np.float32),
                policy_action=np.zeros(1, np.float32),
                reward=float(last and success),
                terminated=last and success,
                truncated=last and not success,
                next_observation=np.array([0, number + 1], np.float32),
                source=Source.HUMAN if number == 1 else Source.POLICY,
                t_ns=0,
                wall_ns=0,
                weights_version=0,
            )
        )
    return found


def state_of(found: ReplayMemory) -> tuple:
    numbers = np.arange(STEPS)
    columns = found.gather(numbers, 0.9, 1)
    views = [view.between(0, STEPS).tolist() for view in (found.replay, found.demo)]
    return views, columns["reward"].tolist(), columns["discount"].tolist(), found.origins(numbers).tolist()


@pytest.mark.parametrize("purpose", ["train", "demo"])
@pytest.mark.parametrize("success", [True, False])
@pytest.mark.parametrize(("label", "step"), [*((label, None) for label in Label), (Label.SUCCESS, 1)])
def test_the_memory_is_as_if_nothing_had_been_said(
    purpose: str, success: bool, label: Label, step: int | None
) -> None:
    found = memory(purpose, success)
    before = state_of(found)
    found.label(0, label, step)
    found.label(0, None)
    assert state_of(found) == before


def test_a_demonstration_that_is_none_is_not_counted() -> None:
    history = RunHistory()
    history.ingest(1, Event("label", 0, "Ada", 0, None, Label.DEMO, ""))
    assert history.demonstrations == 1
    history.ingest(2, Event("undo", 0, "Ada", 0, Label.DEMO, Label.SUCCESS, ""))
    assert history.demonstrations == 0
