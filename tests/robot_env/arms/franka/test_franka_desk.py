"""Franka's Desk: the real client of franky against a stand-in for the web interface."""

import http.client
from collections.abc import Iterator

import pytest
from emulators.franka_desk import FakeDesk

from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.franka.desk import FrankaDesk, credentials
from handrail.robot_env.arms.franka.driver import FrankaDriver
from handrail.robot_env.errors import ArmError, ConfigError

franky = pytest.importorskip("franky")


@pytest.fixture
def fake(monkeypatch) -> Iterator[FakeDesk]:
    def plain(host: str, timeout: float, context: object) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, timeout=timeout)

    monkeypatch.setattr(franky.desk, "HTTPSConnection", plain)
    with FakeDesk() as fake:
        yield fake


@pytest.fixture
def desk(fake) -> Iterator[FrankaDesk]:
    desk = FrankaDesk(franky, fake.address, "operator", "secret")
    yield desk
    desk.close()


def posts(fake: FakeDesk) -> list[str]:
    return [path for method, path in fake.calls if method == "POST"]


def test_it_takes_control_opens_the_brakes_and_activates_fci(fake, desk):
    desk.prepare()
    assert fake.locked == 0 and fake.fci and fake.token
    assert posts(fake) == [
        "/api/system/control-token:take",
        "/api/arm/joints:unlock",
        "/api/system/operating-mode:change",
        "/api/fci:activate",
    ]
    desk.close()
    desk.close()
    assert not fake.token  # control is given back, the brakes stay as they are
    desk.prepare()  # and it can be done again
    assert "/api/arm/joints:unlock" not in posts(fake)[5:]


def test_a_safety_recovery_is_left_to_people(fake, desk):
    fake.recovery = {"type": "SelfTestsElapsed"}
    with pytest.raises(ArmError, match=r"SelfTestsElapsed.*browser"):
        desk.prepare()
    assert not fake.fci and fake.locked and not fake.token


def test_a_refused_password_is_told_without_repeating_it(fake, desk):
    fake.password_ok = False
    with pytest.raises(ArmError, match="401") as refused:
        desk.prepare()
    assert "secret" not in str(refused.value)


def test_a_desk_out_of_reach_is_an_arm_error(fake):
    with pytest.raises(ArmError, match="Desk at 127"):
        FrankaDesk(franky, "127.0.0.1:1", "operator", "secret").prepare()


def test_credentials_come_from_the_environment_by_name(monkeypatch):
    assert credentials("", "") is None
    monkeypatch.setenv("DESK_USER", "operator")
    monkeypatch.setenv("DESK_PASSWORD", "secret")
    assert credentials("DESK_USER", "DESK_PASSWORD") == ("operator", "secret")
    monkeypatch.delenv("DESK_PASSWORD")
    with pytest.raises(ConfigError, match=r"desk_password_env.*DESK_PASSWORD"):
        credentials("DESK_USER", "DESK_PASSWORD")
    with pytest.raises(ConfigError, match="desk_user_env"):
        credentials("", "DESK_PASSWORD")


def test_the_driver_prepares_desk_before_it_connects(fake, monkeypatch):
    monkeypatch.setenv("DESK_USER", "operator")
    monkeypatch.setenv("DESK_PASSWORD", "secret")
    fake.recovery = {"type": "SafetyError"}
    config = FrankaConfig(
        host=fake.address, realtime="ignore", desk_user_env="DESK_USER", desk_password_env="DESK_PASSWORD"
    )
    driver = FrankaDriver(config)
    with pytest.raises(ArmError, match="SafetyError"):
        driver.connect()
    driver.close()
