"""`handrail doctor cameras`: what is connected, how the station's cameras do, and what each shows.

A serial number tells a camera, but only its picture tells where it is mounted: `--keep` keeps a small one of
each beside the station's file, and whatever looks at the station later knows exchanged cameras by them.
"""

from collections.abc import Iterator
from pathlib import Path

from handrail.launch import compose, preflight
from handrail.launch.checks import Check, show
from handrail.launch.errors import CheckFailed
from handrail.launch.options import Options
from handrail.robot_env.cameras.make import make_streams
from handrail.robot_env.cameras.references import References, shown
from handrail.robot_env.errors import ConfigError, HandrailError


def main(options: Options, overrides: list[str]) -> int:
    """List the cameras, and check those of the configuration.

    Raises:
        CheckFailed: one of them fails, or its picture cannot be kept.
        ConfigError: an override is refused, or pictures are to be kept for a station that is nobody's own.
    """
    composed = compose.compose(overrides, "ignored")
    pictures = compose.station_pictures(composed.choices["station"])
    if options["keep"] and pictures is None:
        raise ConfigError(
            f"--keep: station {composed.choices['station']} comes with Handrail, and pictures are kept with "
            f"one of your own: {compose.SEARCH_PATH}=<folder>, <folder>/station/<name>.yaml, station=<name>"
        )

    def look() -> Iterator[Check]:
        yield from connected()
        before = None if options["keep"] or pictures is None else References(pictures)
        yield from preflight.cameras(composed.config, before)
        if options["keep"] and pictures is not None:
            yield keep(composed, pictures)

    checks = show(look(), as_json=options["json"], as_lines=options["lines"])
    failed = [check.name for check in checks if check.verdict == "fail"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
    return 0


def connected() -> Iterator[Check]:
    """What is connected, whether the configuration names it or not; nothing is started."""
    from handrail.robot_env.cameras import opencv, realsense

    try:
        yield Check("realsense", "ok", realsense.connected())
    except HandrailError as error:
        yield Check("realsense", "skip", str(error))
    yield Check("v4l2", "ok", opencv.connected())


def keep(composed: compose.Composed, pictures: Path) -> Check:
    """Keep what each camera shows now in place of what was kept before."""
    devices = composed.config.env.camera_devices
    opened = []
    try:
        streams = make_streams(devices)
        for stream in streams.values():
            stream.open()
            opened.append(stream)
        now = shown(opened)
        if not now:
            return Check("pictures", "fail", "env.camera_devices is empty: there is nothing to keep")
        References(pictures, anew=True).keep(now)
    except (HandrailError, OSError) as error:
        return Check("pictures", "fail", f"not kept: {error}")
    finally:
        for stream in opened:
            stream.close()
    return Check("pictures", "ok", f"{', '.join(now)} kept as mounted now, in {pictures}")
