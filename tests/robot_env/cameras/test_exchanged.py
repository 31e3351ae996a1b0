"""Exchanged cameras are known by what they show, in any light; others are left alone."""

import math
from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest

from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.cameras.exchanged import CLEARLY, SMALL, exchanged, outline, small
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import RenderingUnavailable
from handrail.robot_env.make import make_env
from handrail.robot_env.sim.config import RandomizationConfig

CAMERAS = ("wrist", "wrist_2", "side")
VARIES = RandomizationConfig(visible=True, light=True, texture=True, camera_pose=True)


@pytest.fixture(scope="module")
def views() -> Iterator[dict[str, np.ndarray]]:
    """Outlines (N, 192) by camera: at twelve starts, each in its own light, and some steps later."""
    images = tuple(CameraConfig(name, width=SMALL[1], height=SMALL[0]) for name in CAMERAS)
    env = make_env(EnvConfig(cameras=images, randomization=VARIES))
    found: dict[str, list[np.ndarray]] = {name: [] for name in CAMERAS}
    rng = np.random.default_rng(0)
    try:
        for seed in range(12):
            moments = [env.reset(seed=seed)[0]]
            way = rng.uniform(-1.0, 1.0, 6)
            for _ in range(4):
                moments.append(env.step(way)[0])
            for name in CAMERAS:
                found[name] += [outline(moments[0][name]), outline(moments[-1][name])]
    except RenderingUnavailable as error:
        pytest.skip(str(error))
    finally:
        env.close()
    yield {name: np.array(each) for name, each in found.items()}


def circles(seen: dict[str, np.ndarray], before: dict[str, np.ndarray]) -> list[tuple[str, ...]]:
    def distance(a: str, b: str) -> float:
        return float(np.linalg.norm(seen[a] - before[b]))

    return [each.names for each in exchanged(before, distance)]


def test_no_light_pose_or_board_makes_cameras_look_exchanged_and_exchanged_ones_are_told(views) -> None:
    moments = len(views["wrist"])
    for start in range(0, moments, 2):
        before = {name: views[name][start] for name in CAMERAS}
        for moment in range(moments):
            for order in permutations(CAMERAS):
                shows = dict(zip(CAMERAS, order, strict=True))
                found = circles({name: views[shows[name]][moment] for name in CAMERAS}, before)
                told = {a: b for each in found for a, b in zip(each, each[1:] + each[:1], strict=True)}
                assert told == {name: other for name, other in shows.items() if name != other}


def test_what_looks_like_none_of_them_is_no_exchange() -> None:
    rng = np.random.default_rng(1)
    for names in ("ab", "abc", "abcd"):
        for _ in range(30):
            noise = [outline(rng.integers(0, 256, (*SMALL, 3), np.uint8)) for _ in range(2 * len(names))]
            n = len(names)
            assert not circles(
                dict(zip(names, noise[:n], strict=True)), dict(zip(names, noise[n:], strict=True))
            )


def test_two_fit_crossed_only_when_they_clearly_do() -> None:
    for crossed, found in ((0.99 * CLEARLY, True), (1.01 * CLEARLY, False), (math.inf, False)):
        distances = {("a", "a"): 1.0, ("b", "b"): 1.0, ("a", "b"): crossed, ("b", "a"): crossed}
        assert bool(list(exchanged("ab", lambda a, b, d=distances: d[a, b]))) == found


def test_a_circle_and_a_pair_beside_it_are_told_each_by_itself_in_words() -> None:
    shows = dict(zip("abcdef", "bcaedf", strict=True))
    circle, pair = exchanged("fedcba", lambda a, b: 0.1 if shows[a] == b else 1.0)
    assert (circle.names, pair.names) == (("a", "b", "c"), ("d", "e"))
    assert circle.said("before") == "a shows what b showed before, b what c showed, c what a showed"
    assert (circle.straight, circle.crossed) == (pytest.approx(3.0), pytest.approx(0.3))


def test_a_small_picture_is_of_one_size_and_averages() -> None:
    for height, width in ((480, 640), (720, 1280), (48, 64)):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, width // 2 :] = 200
        made = small(picture)
        assert made.shape == (*SMALL, 3) and made.dtype == np.uint8
        assert made[:, :47].max() == 0 and made[:, 49:].min() == 200
    assert not outline(np.zeros((*SMALL, 3), np.uint8)).any()  # black: no edges, and no division by none
