"""The limiter's arithmetic, and that neither side can wait for ever."""

from handrail.agent.limiter import SamplesPerInsertLimiter


def test_updates_are_paid_for_by_steps():
    limiter = SamplesPerInsertLimiter(utd=3, slack_steps=10)
    assert not limiter.may_update(0, 0)
    assert limiter.may_update(2, 1)
    assert not limiter.may_update(3, 1)


def test_the_actor_waits_once_it_is_a_slack_ahead():
    limiter = SamplesPerInsertLimiter(utd=2, slack_steps=10)
    assert limiter.may_collect(0, 9)
    assert not limiter.may_collect(0, 10)
    assert limiter.may_collect(1, 10)


def test_one_of_the_two_may_always_go_on_and_the_ratio_holds():
    for utd in (1, 2, 5):
        limiter = SamplesPerInsertLimiter(utd, slack_steps=1)
        updates = steps = 0
        for _ in range(10_000):
            collect, update = limiter.may_collect(updates, steps), limiter.may_update(updates, steps)
            assert collect or update
            updates, steps = updates + update, steps + collect
        assert abs(updates / steps - utd) < 0.01
