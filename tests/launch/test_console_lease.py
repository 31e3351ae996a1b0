"""The lease: one acts, a page that loads again keeps it, and whoever has gone loses it."""

import pytest

from handrail.launch.console.access import Identity
from handrail.launch.console.lease import GRACE_S, IDLE_S, Lease

ADA, BO = Identity("operator", "Ada", "a"), Identity("operator", "Bo", "b")
VIEWER = Identity("viewer", "Cy", "c")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[str | None]:
    return []


@pytest.fixture
def lease(clock: Clock, changes: list[str | None]) -> Lease:
    lease = Lease(now=clock)
    lease.told.append(lambda: changes.append(lease.holder.name if lease.holder else None))
    return lease


def test_one_holds_it_and_a_second_is_told_who(lease: Lease, changes: list[str | None]) -> None:
    with lease.present(ADA), lease.present(BO):
        assert lease.refusal(ADA) == "take the controls first"
        assert lease.claim(ADA) == "" and lease.claim(ADA) == ""
        assert "Ada" in lease.claim(BO) and "Ada" in lease.refusal(BO)
        assert lease.refusal(ADA) == "" and lease.held_by(ADA) and not lease.held_by(BO)
        lease.release(BO)
        assert lease.held_by(ADA)
        lease.release(ADA)
        lease.release(ADA)
        assert lease.claim(BO) == ""
    assert changes == ["Ada", None, "Bo"]


def test_a_viewer_never_holds_it(lease: Lease) -> None:
    assert "viewer" in lease.claim(VIEWER) and "viewer" in lease.refusal(VIEWER)
    assert lease.holder is None


def test_a_reload_keeps_it_and_leaving_ends_it(lease: Lease, clock: Clock, changes: list[str | None]) -> None:
    with lease.present(ADA):
        lease.claim(ADA)
    clock.now_s += GRACE_S - 0.1
    assert lease.held_by(ADA)
    with lease.present(ADA):
        clock.now_s += 10 * GRACE_S
        lease.expire()
        assert lease.held_by(ADA)
    clock.now_s += GRACE_S + 0.1
    lease.expire()
    assert changes == ["Ada", None]
    assert lease.claim(BO) == ""


def test_one_socket_of_two_is_enough(lease: Lease, clock: Clock) -> None:
    with lease.present(ADA):
        with lease.present(ADA):
            lease.claim(ADA)
        clock.now_s += 10 * GRACE_S
        assert lease.held_by(ADA)


def test_coming_back_too_late_does_not_revive_it(lease: Lease, clock: Clock) -> None:
    with lease.present(ADA):
        lease.claim(ADA)
    clock.now_s += GRACE_S + 1.0
    with lease.present(ADA):
        assert lease.refusal(ADA) == "take the controls first"


def test_somebody_else_with_the_same_name_is_somebody_else(lease: Lease) -> None:
    with lease.present(ADA):
        lease.claim(ADA)
        assert lease.claim(Identity("operator", "Ada", "other")) != ""


def test_a_deserted_page_loses_it_to_whoever_asks_and_both_are_told(
    lease: Lease, clock: Clock, changes: list[str | None]
) -> None:
    taken: list[tuple[str, str]] = []
    lease.taken.append(lambda before, now: taken.append((before.name, now.name)))
    with lease.present(ADA), lease.present(BO):
        lease.claim(ADA)
        clock.now_s += IDLE_S - 60.0
        assert lease.act(ADA) == ""
        assert "Ada" in lease.act(BO)
        clock.now_s += IDLE_S - 61.0
        assert "in 2 min" in lease.claim(BO)  # asking again and again changes nothing
        assert lease.held_by(ADA)
        clock.now_s += 61.0
        assert lease.held_by(ADA) and lease.claim(BO) == ""
        assert "Bo" in lease.act(ADA) and "Bo" in lease.claim(ADA)
    assert changes == ["Ada", "Bo"] and taken == [("Ada", "Bo")]
