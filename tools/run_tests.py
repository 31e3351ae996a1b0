"""The whole test suite, in two phases; what `make test` runs.

1. What does not go by the wall clock, in as many processes as there are processors, a file at a time.
2. What does (marked `realtime`), one test at a time, with the machine to itself.

    python tools/run_tests.py [any words of pytest's]

What fails beside others gets a second try alone, and the output says so: two cores carry a browser, a run
and another file's tests at once, and a defect fails alone as well. Both phases run whatever the first one
finds; the counts of both close the output, and a failure in either is a failure. `--figures` is for
measuring, which wants the machine to itself: everything runs in one process.
"""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MOST_PROCESSES = 8
"""Each takes half a gigabyte."""
ALONE = ["--last-failed", "--last-failed-no-failures=none"]
PASSED, FAILED, NOTHING = 0, 1, 5
"""Exit codes of pytest that are no reason to stop."""


def main(words: list[str]) -> int:
    """Run both phases with the words given; the exit code."""
    if any(word.startswith("--figures") for word in words):
        return pytest(words)
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
    together = ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]
    phases = {
        f"parallel, {processes} processes": ["--phase=parallel", *together],
        "realtime, one at a time": ["--phase=realtime"],
    }
    codes, lines = [], []
    with tempfile.TemporaryDirectory(prefix="handrail-tests-") as folder:
        for name, options in phases.items():
            report = Path(folder) / f"{len(codes)}.xml"
            print(f"\n== tests: {name}", flush=True)
            began_s = time.monotonic()
            codes.append(pytest([*options, f"--junitxml={report}", *words]))
            lines.append(f"{name}: {counts(report)} in {time.monotonic() - began_s:.0f} s")
            if codes[-1] == FAILED and "-n" in options:
                lines += [f"  failed beside others: {each}" for each in failed(report)]
                codes[-1] = pytest(["--phase=parallel", *ALONE, f"--junitxml={report}", *words])
                lines.append(f"what failed there, once more and alone: {counts(report)}")
            if codes[-1] not in (PASSED, FAILED, NOTHING):
                break
    print("\n== tests", *lines, sep="\n", flush=True)
    return verdict(codes)


def pytest(words: list[str]) -> int:
    """One run of pytest; its exit code.

    The tests start a few hundred processes: each would compile the package anew, were nothing kept.
    """
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, "-m", "pytest", *words], env=environment, check=False).returncode


def counts(report: Path) -> str:
    """What a run of pytest came to."""
    if not report.exists():
        return "no report"
    (suite,) = ElementTree.parse(report).getroot()
    found = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    found["passed"] = found.pop("tests") - sum(found.values())
    order = ("passed", "failures", "errors", "skipped")
    return ", ".join(f"{found[name]} {name}" for name in order if found[name] or name == "passed")


def failed(report: Path) -> list[str]:
    """The tests that failed in a run of pytest, each once."""
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
    bad = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return list(dict.fromkeys(f"{case.get('classname')}::{case.get('name')}" for case in bad))


def verdict(codes: list[int]) -> int:
    """The worse of the phases; a phase in which nothing was selected counts if there was no other."""
    told = [code for code in codes if code != NOTHING]
    return max(told) if told else NOTHING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
