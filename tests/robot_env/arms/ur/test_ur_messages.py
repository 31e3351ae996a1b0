"""The line between the driver and the process that holds ur_rtde."""

import pytest

from handrail.robot_env.arms.ur.messages import Alive, Link, Lost


@pytest.mark.parametrize("unread", [0, 1, 3])
def test_last_words_are_heard_whatever_the_speaker_left_unread(unread):
    here, there = Link.pair()
    process = Link(there)
    for _ in range(unread):
        assert here.send(Alive())
    assert process.send(Alive()) and process.send(Lost("the robot is gone"))
    process.close()
    (alive, lost) = here.drain()
    assert isinstance(alive, Alive) and lost == Lost("the robot is gone")
    with pytest.raises(EOFError):
        here.drain()
    here.close()


def test_a_line_that_is_closed_here_ends_too():
    here, there = Link.pair()
    with there:
        here.close()
        with pytest.raises(EOFError):
            here.drain()
        assert not here.send(Alive()) and here.wait(0.0)
