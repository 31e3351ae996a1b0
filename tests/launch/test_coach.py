"""When to step in: try first, help about a third of the early episodes, taper, hands off; no flicker."""

import itertools
import random
from collections.abc import Iterator

from handrail.launch.coach import EXPLORE_STEPS, Coach, Coaching, Scene


class Training:
    """Episodes as they would happen to a coach: steps, and what came of them."""

    def __init__(self) -> None:
        self.coach = Coach()
        self.unaided: list[bool] = []
        self.succeeded: list[bool] = []

    def at(
        self, step: int, driver: str = "policy", *, running: bool = True, most_steps: int = 100
    ) -> Coaching:
        return self.coach.advise(
            Scene(
                driver=driver,
                running=running,
                episode=len(self.unaided),
                step=step,
                most_steps=most_steps,
                unaided=self.unaided,
                succeeded=self.succeeded,
            )
        )

    def ended(self, *, success: bool, unaided: bool) -> None:
        self.unaided.append(success and unaided)
        self.succeeded.append(success)

    def obedient(self, episodes: int, success: bool = False) -> Iterator[bool]:
        """Whether an operator who does as told helped in each of so many episodes."""
        for _ in range(episodes):
            told = [self.at(step).state for step in range(0, 100, 5)]
            helped = "help" in told
            self.ended(success=success or helped, unaided=not helped)
            yield helped


def test_it_lets_the_policy_try_first_and_counts() -> None:
    training = Training()
    assert training.at(12) == Coaching("Let it try: 12 of 25 steps.", "explore")
    assert 20 <= EXPLORE_STEPS <= 30


def test_a_short_episode_leaves_room_to_help() -> None:
    assert Training().at(3, most_steps=30).sentence == "Let it try: 3 of 10 steps."


def test_about_a_third_of_the_early_episodes_are_helped() -> None:
    helped = list(Training().obedient(30))
    assert 9 <= sum(helped) <= 11
    assert not any(a and b for a, b in itertools.pairwise(helped)), "never two in a row"


def test_help_tapers_as_it_succeeds_alone() -> None:
    training = Training()
    for index in range(10):
        training.ended(success=index % 2 == 0, unaided=True)
    rng = random.Random(0)
    helped = 0
    for _ in range(30):
        told = [training.at(step).state for step in range(0, 100, 5)]
        helped += "help" in told
        alone = "help" not in told and rng.random() < 0.5
        training.ended(success=alone or "help" in told, unaided=alone)
    assert 2 <= helped <= 7


def test_the_last_stage_is_hands_off() -> None:
    training = Training()
    for index in range(10):
        training.ended(success=index > 1, unaided=True)
    assert training.at(50) == Coaching("Hands off: 8 of the last 10 unaided.", "hands-off")
    assert training.at(51, "human") == Coaching("Let go: 8 of the last 10 unaided.", "let-go")


def test_it_does_not_flicker_between_stages() -> None:
    """An unaided rate that wavers about the threshold changes the stage once, not every episode."""
    training = Training()
    for index in range(10):
        training.ended(success=index > 1, unaided=True)
    stages = []
    for index in range(20):
        training.at(0)
        stages.append(training.coach.stage)
        training.ended(success=index % 3 != 0, unaided=True)
    assert set(stages) == {"alone"}
    for _ in range(6):
        training.ended(success=False, unaided=True)
        training.at(0)
    assert training.coach.stage == "taper"


def test_what_was_settled_for_an_episode_stays() -> None:
    training = Training()
    for _ in range(2):
        training.at(0)
        training.ended(success=False, unaided=True)
    driven = [(0, "policy"), (24, "policy"), (25, "policy"), (26, "human"), (30, "hold"), (31, "policy")]
    states = [training.at(step, driver).state for step, driver in driven]
    assert states == ["explore", "explore", "help", "helping", "helping", "helping"]


def test_between_two_episodes_it_says_what_comes() -> None:
    training = Training()
    assert training.at(0, "reset", running=False).sentence == "Next: let it try, and let it finish alone."
    for _ in range(2):
        training.ended(success=False, unaided=True)
    assert "help it to finish" in training.at(0, "reset", running=False).sentence
    for _ in range(10):
        training.ended(success=True, unaided=True)
    assert training.at(0, "reset", running=False).sentence.startswith("Hands off in the next one")


def test_a_hand_that_is_not_needed_is_told_to_hand_back() -> None:
    training = Training()
    assert training.at(5, "human").state == "let-go"
    assert training.at(40).state == "watch"


def test_demonstrations_are_counted() -> None:
    said = Coach().advise(Scene(purpose="demo", demonstrations=4, wanted=20))
    assert said == Coaching("Show it: demonstration 5 of 20, calmly and to the end.", "show")
    done = Coach().advise(Scene(purpose="demo", demonstrations=20, wanted=20))
    assert done.state == "wait" and done.sentence.startswith("Wait: it is learning")
    assert Coach().advise(Scene(purpose="classify")).state == "wait"
    counted = Coach().advise(Scene(purpose="evaluate"))
    assert counted == Coaching("Hands off: what it can do alone is being counted.", "hands-off")
