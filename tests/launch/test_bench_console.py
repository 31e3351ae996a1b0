"""`handrail bench console`, kept so short that only its form means anything."""

import json

import pytest

from handrail.launch.bench import console_browser
from handrail.launch.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def figures(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, float], str]:
    assert main(["bench", "console", *words, "--json"]) == 0
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert all(line["bench"] == "console" for line in lines)
    return {line["name"]: line["value"] for line in lines}, told.err


@pytest.mark.realtime
@pytest.mark.skipif(bool(console_browser.missing()), reason=console_browser.missing())
def test_video_and_buttons(capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = figures(capsys, "seconds=3", "presses=5", "load=none", "rounds=0", "episodes=0")
    assert 0.0 < found["camera_to_screen_p50"] <= found["camera_to_screen_p95"]
    assert found["camera_to_screen_p50_of_target"] == pytest.approx(
        found["camera_to_screen_p50"] / 40.0, rel=1e-3
    )
    assert found["frames_painted"] > 1.0
    assert 0.0 < found["button_p50"] <= found["button_p99"]
    assert found["share_one_viewer"] > 0.0 and 20.0 < found["rss_one_viewer"] < 400.0
    assert found["share_three_viewers"] > 0.0


@pytest.mark.realtime
def test_the_review_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = figures(capsys, "seconds=0", "rounds=0", "episodes=12")
    assert found["log_size"] > 1.0 and found["review_json"] > 0.0
    if not console_browser.missing():
        assert found["table_opens"] > 0.0 and found["episode_opens"] > 0.0


def test_without_a_browser_it_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANDRAIL_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    found, said = figures(capsys, "seconds=1", "rounds=0", "episodes=0")
    assert found == {}
    assert said.count("\n") == 1 and "chromium" in said


def test_a_named_browser_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_CHROMIUM", "/nowhere/chromium")
    assert "/nowhere/chromium" in console_browser.missing()
