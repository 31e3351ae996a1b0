"""Films: one frame a step, in time, with who drives in words and in colour."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from exported import HUMAN, POLICY, SCRIPT, Told, cameras, make_run

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main
from handrail.launch.export.film_frame import FilmFrame
from handrail.robot_env.spec import STATE_SPEC

av = pytest.importorskip("av")

AMBER = (255, 176, 0)
EPISODES = [
    Told(steps=5, sources=(POLICY, HUMAN, HUMAN, POLICY)),
    Told(success=False, truncated_by="time_limit"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("runs") / "first", EPISODES, cameras((64, 64), (48, 64)))


def frames_of(path: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec.canonical_name == "h264"
        decoded = list(container.decode(video=0))
    return [float(each.pts * each.time_base) for each in decoded], [
        each.to_ndarray(format="rgb24") for each in decoded
    ]


def exported(run: RunDirectory, file: Path, *words: str) -> tuple[list[float], list[np.ndarray]]:
    assert main(["export", "mp4", f"run={run.path}", f"to={file}", *words]) == 0
    return frames_of(file)


def framed(image: np.ndarray) -> bool:
    """Whether a picture's left edge is amber from top to bottom of the first camera."""
    return bool(np.abs(image[4:300, 2:8].astype(int).mean((0, 1)) - AMBER).max() < 25)


def test_a_frame_is_a_step_and_the_outcome_stays_a_second(run: RunDirectory, tmp_path: Path) -> None:
    times, images = exported(run, tmp_path / "film.mp4")
    assert len(images) == (5 + 10) + (4 + 10)
    assert times == pytest.approx([number / 10 for number in range(29)], abs=1e-6)
    human = [step.source is HUMAN for step in EPISODES[0].transitions]
    assert [framed(image) for image in images] == [*human, *[False] * 24]


def test_the_cameras_stand_side_by_side(run: RunDirectory, tmp_path: Path) -> None:
    _, images = exported(run, tmp_path / "film.mp4")
    seen = EPISODES[0].transitions[0].images
    left, right = images[0][10:330, 10:330], images[0][10 : 10 + 48 * 7, 340 : 340 + 64 * 7]
    for shown, image, factor in ((left, seen["wrist"], 5), (right, seen["wrist_2"], 7)):
        enlarged = image.repeat(factor, 0).repeat(factor, 1).astype(int)
        assert np.abs(shown - enlarged).mean() < 10


def test_a_reel_has_the_ends_of_the_failures(run: RunDirectory, tmp_path: Path) -> None:
    _, images = exported(run, tmp_path / "reel.mp4", "end_s=0.2", "outcome=failure")
    assert len(images) == 2 + 10


@pytest.mark.parametrize("words", [("end_s=0",), ("end_s=-1",)])
def test_a_reel_of_no_length_is_refused(
    run: RunDirectory, tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "mp4", f"run={run.path}", f"to={tmp_path / 'x.mp4'}", *words]) == 2
    assert "must be positive" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_run_without_pictures_is_told_so_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "blind", [Told()])
    assert main(["export", "mp4", f"run={run.path}", f"to={tmp_path / 'x.mp4'}"]) == 26
    assert capsys.readouterr().err == (
        "handrail: episode 0 of blind has no camera images, so there is no film; `handrail export csv` "
        "writes its numbers\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["blind"]


def test_the_driver_is_told_by_a_word_besides_the_colour() -> None:
    """Without any colour the captions still differ from driver to driver."""
    image = np.zeros((64, 64, 3), np.uint8)
    draw = FilmFrame({"wrist": image.shape[:2]}, STATE_SPEC)

    def caption(source) -> np.ndarray:
        known = {"step": 0, "images": {"wrist": image}, "reward": 0.0, "score": None}
        step = SimpleNamespace(**known, source=source, observation=np.zeros(19, np.float32))
        row = SimpleNamespace(episode=1, steps=9)
        return draw.step(row, step, 0.0)[-110:, :160].max(-1) > 60  # type: ignore[arg-type]

    human, policy, held = (caption(source) for source in (HUMAN, POLICY, SCRIPT))
    assert human.any() and (human != policy).sum() > 50 and (policy != held).sum() > 50


def test_the_reward_is_the_label_s_and_a_correction_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def told(_draw, _at, text: str, *_rest) -> None:
        said.append(text)

    monkeypatch.setattr("PIL.ImageDraw.ImageDraw.text", told)
    vetoed, seen = ("failure", "Ada", "not seated", None), ("success", "Bo", "", 1)
    episodes = [
        Told(steps=2, labels=(vetoed,)),
        Told(steps=3, success=False, truncated_by="time_limit", labels=(seen,)),
    ]
    run = make_run(tmp_path / "run", episodes, cameras((64, 64)))
    exported(run, tmp_path / "film.mp4")
    words = {"captions": said[1::4], "numbers": said[2::4], "corrections": said[3::4]}
    rewards = [text.partition("   ")[0].removeprefix("reward ") for text in words["numbers"]]
    shown = list(zip(words["captions"], rewards, words["corrections"], strict=True))
    assert list(dict.fromkeys(shown)) == [
        ("episode 0   step 1/2", "0.00", ""),
        ("episode 0   step 2/2", "0.00", "recorded 1.00; Ada said failure"),
        ("episode 1   step 1/3", "0.00", ""),
        ("episode 1   step 2/3", "1.00", "recorded 0.00; Bo said success"),
        ("episode 1   step 3/3", "none", "recorded 0.00; Bo said success before"),
    ]
