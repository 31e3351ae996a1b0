"""A second try for a real-time test, where the machine is known to have stood still in the first, and told.

A test that fails while the machine runs has failed: nothing here hides a race of the product's, or of the
test's own.
"""

import time

import pytest
from _pytest.runner import runtestprotocol
from stalls import STALL_S, StallWatch

_WATCH = pytest.StashKey[StallWatch]()
_TOLD = "retried"
"""Name of the user property in which a report tells of the first try; it travels from xdist's workers too."""


def run_again_after_a_stall(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test, and once more where it failed while the machine stood still; says that it has been run."""
    watch = _watch(item.config)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    began_s = time.monotonic()
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    failed = next((report for report in reports if report.failed), None)
    if failed is not None and (stall_s := watch.worst_s(began_s)) > STALL_S:
        item._initrequest()  # type: ignore[attr-defined]  # fixtures anew, as pytest's own plugins for this do
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        told = f"the machine stood still for {1e3 * stall_s:.0f} ms; at first: {failed.longreprtext}"
        reports[-1].user_properties.append((_TOLD, told))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def tell_retries(terminal: pytest.TerminalReporter) -> None:
    """Show every test that was run twice, and how it failed at first."""
    reports = [report for kind in terminal.stats.values() for report in kind]
    for report in reports:
        for name, told in getattr(report, "user_properties", ()):
            if name == _TOLD and report.when == "teardown":
                terminal.section(f"RUN TWICE: {report.nodeid}", red=True)
                terminal.write_line(str(told))


def _watch(config: pytest.Config) -> StallWatch:
    """One for all tests of this process."""
    if _WATCH not in config.stash:
        config.stash[_WATCH] = watch = StallWatch()
        config.add_cleanup(watch.close)
    return config.stash[_WATCH]
