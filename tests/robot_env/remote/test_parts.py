import threading

import pytest
import zmq

from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.jobs import Job, JobQueue, Worker
from handrail.robot_env.remote.messages import Heartbeat, Stop
from handrail.robot_env.remote.recovery import RecoveryBudget
from handrail.robot_env.remote.requester import Requester
from handrail.robot_env.remote.timing import SenderAge, watchdog_ns

MS = 1_000_000
S = 1000 * MS


@pytest.mark.parametrize("offset_ns", [0, 10**18, -(10**18)])
def test_an_age_does_not_depend_on_the_clocks(offset_ns):
    age = SenderAge()
    assert age.arrived(offset_ns, 0) == 0
    assert age.arrived(offset_ns + 100 * MS, 130 * MS) == pytest.approx(30 * MS, abs=MS)
    assert age.arrived(offset_ns + 200 * MS, 200 * MS) <= MS
    assert age.here_ns(offset_ns + 200 * MS) == pytest.approx(200 * MS, abs=MS)


def test_clocks_that_drift_apart_make_nothing_old():
    age = SenderAge()
    ages = [age.arrived(round(t * (1 - 5e-4)), t) for t in range(0, 3600 * S, 100 * MS)]
    assert max(ages) == 0


def test_a_queue_of_old_messages_is_old_even_after_a_minute_of_silence():
    age = SenderAge()
    age.arrived(0, 0)
    assert age.arrived(1 * S, 60 * S) > 58 * S


@pytest.mark.parametrize(
    ("set_s", "period_s", "limit_s"),
    [(None, 0.1, 0.25), (None, 0.02, 0.1), (0.3, 0.1, 0.3), (None, 1.0, 2.5)],
)
def test_the_watchdog_follows_the_period_unless_it_is_set(set_s, period_s, limit_s):
    assert watchdog_ns(ArmServerConfig(watchdog_s=set_s), period_s) == round(limit_s * 1e9)


def test_a_budget_of_none_never_recovers():
    with pytest.raises(ArmFault, match="restart the arm server"):
        RecoveryBudget(0, 600.0).check(0)


def test_a_worker_does_one_thing_after_the_other_and_hands_errors_back():
    worker, order = Worker(), []

    def fail():
        raise RuntimeError("SDK")

    futures = [
        worker.submit(lambda: order.append(1)),
        worker.submit(fail),
        worker.submit(lambda: order.append(2)),
    ]
    assert isinstance(futures[1].exception(5.0), RuntimeError)
    futures[2].result(5.0)
    assert order == [1, 2] and worker.close()


def test_work_that_cannot_say_whether_it_may_begin_fails_and_holds_up_nobody():
    worker, told, ran = Worker(), [], threading.Event()
    jobs = JobQueue(worker.submit)

    def ready():
        raise AttributeError("a bug")

    jobs.add(Job("set_load", lambda: None, told.append, ready))
    assert type(told[0]) is ArmError and "set_load failed: AttributeError: a bug" in str(told[0])
    jobs.add(Job("next", ran.set, told.append))
    assert ran.wait(5.0) and worker.close()


class Gone:
    """A socket whose peer goes between the look at it and its use."""

    def poll(self, timeout, what):
        return what

    def send(self, frame, flags):
        raise zmq.Again

    def close(self):
        pass


def test_a_server_that_goes_in_the_middle_of_a_question_is_an_error_of_the_arm(tmp_path):
    requester = Requester(Endpoints(f"ipc://{tmp_path}/commands", f"ipc://{tmp_path}/state"))
    requester._socket.close()
    requester._socket = Gone()  # type: ignore
    with pytest.raises(ArmError, match=r"cannot be asked .*; see whether it runs"):
        requester.ask(Stop(), 1.0)
    requester.tell(Heartbeat())
    requester.close()


def test_whatever_work_raises_is_told_as_an_error_of_the_arm():
    worker, told = Worker(), []
    jobs = JobQueue(worker.submit)

    def fail():
        raise ZeroDivisionError("in the SDK")

    jobs.add(Job("engage", fail, told.append))
    while not told:
        jobs.poll()
    assert type(told[0]) is ArmError and "engage failed: ZeroDivisionError" in str(told[0])
    worker.close()
