"""Stops of others than the commander: who is one, and that a client hears of each once."""

from contextlib import closing

import pytest
from benches.served import RunningServer, served_config
from supervised import Cell

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.messages import Counters, State
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.remote.stops import ForeignStops
from handrail.robot_env.remote.wire import PROTOCOL
from handrail.robot_env.sim.cell import SimCell

SOON_S = 10.0


def test_only_what_came_since_the_last_look_is_new_also_after_a_restart_of_the_server() -> None:
    stops = ForeignStops()
    seen = [("a", 2), ("a", 2), ("a", 3), ("b", 0), ("b", 2), ("c", 2)]
    new = [stops.new(State(PROTOCOL, boot, 1, 1, counters=Counters(stops=n))) for boot, n in seen]
    assert new == [0, 0, 1, 0, 2, 2]


@pytest.mark.parametrize(
    ("held", "token", "counts"),
    [
        (True, "own", False),
        (True, "", True),
        (True, "of a former commander", True),
        (False, "", True),
        (False, "of a former commander", False),
    ],
)
def test_whose_stop_is_news_to_whom(held: bool, token: str, counts: bool) -> None:
    cell = Cell().open()
    own = cell.acquire().token
    if not held:
        cell.supervisor.release(cell.now, cell.stamp())
    cell.supervisor.asked_to_stop(cell.now, cell.stamp(token=own if token == "own" else token))
    assert cell.supervisor.stops.count == counts


@pytest.mark.parametrize("motion", ["start", "joints"])
@pytest.mark.parametrize(("known", "moves"), [(0, False), (1, True), (2, False), (None, True)])
def test_nothing_moves_for_a_commander_who_does_not_know_of_every_stop(
    known: int | None, moves: bool, motion: str
) -> None:
    home = [float(x) for x in SimCell().joints()[0]]
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", joint_home=tuple(home)))).open()
    cell.acquire()
    cell.supervisor.asked_to_stop(cell.now, cell.stamp(token=""))

    def order() -> None:
        if motion == "start":
            cell.supervisor.start(cell.now, cell.stamp(), None, cell.done, known)
        else:
            cell.supervisor.joints(cell.now, cell.stamp(), home, cell.done, known)

    if moves:
        order()
        assert cell.state().job
    else:
        with pytest.raises(ArmError, match="somebody else stopped the arm"):
            order()
        assert not cell.state().job


def test_a_start_right_after_a_stop_that_it_has_not_heard_of_leaves_the_arm_where_it_is() -> None:
    running = RunningServer(SimDriver(SimCell()), served_config("sim_server"))
    with ArmOperator(running.config) as operator, closing(ArmClient(running.config)) as client:
        client.connect()
        for number in range(20):
            known = client.stops
            assert known == number and operator.stop()
            with pytest.raises(ArmError, match="somebody else stopped the arm"):
                client.start(stops=known)
            assert client.stops == known + 1 and client.state().mode is ArmMode.HOLD
        client.start(stops=client.stops)
        assert client.state().mode is ArmMode.RUN
    running.close()


def test_a_client_counts_the_stops_of_others_from_its_connection_on() -> None:
    running = RunningServer(SimDriver(SimCell()), served_config("sim_server"))
    with ArmOperator(running.config) as operator, closing(ArmClient(running.config)) as client:
        assert operator.stop() and client.stops == 0
        client.connect()
        client.start()
        client.stop()
        client.state()
        assert client.stops == 0
        for number in (1, 2):  # the second where nothing moves
            assert operator.stop()
            assert client.feed.wait(lambda state, n=number: state.counters.stops == 1 + n, SOON_S)
            assert client.stops == number
    running.close()
