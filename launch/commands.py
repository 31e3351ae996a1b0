"""Every `handrail` command, as data: what it does, its options, an example. `--help` is made from it."""

from dataclasses import dataclass

from handrail.launch.options import Option

RUN = Option("run", str, "the run: its name under runs/, or a path")
RUNS = Option("runs", str, "the folder that holds the runs", "runs")
JSON = Option("json", bool, "print JSON instead of a table", False)


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        module: its module in `handrail.launch`, which has `main(options, overrides) -> exit code`.
        summary: what it does, in one line.
        example: a command line that works.
        options: its own options.
        configured: whether it also takes overrides of the run's configuration.
        hidden: whether the overview leaves it out (a process that `train` starts).
    """

    module: str
    summary: str
    example: str
    options: tuple[Option, ...] = ()
    configured: bool = False
    hidden: bool = False


COMMANDS: dict[str, Command] = {
    "train": Command(
        "train",
        "train until the policy does the task unaided; run=<id> goes on with an earlier run",
        "handrail train seed=1 preset=parity",
        (RUN, RUNS, Option("display", ("auto", "live", "plain"), "how progress is shown", "auto")),
        configured=True,
    ),
    "record": Command(
        "record",
        "record demonstrations into a run, by the synthetic operator or by hand",
        "handrail record demos=20 run=first",
        (RUN, RUNS, Option("demos", int, "successful demonstrations to record", 20)),
        configured=True,
    ),
    "evaluate": Command(
        "evaluate",
        "evaluate a run's policy: frozen, unaided, on fixed full-range starts",
        "handrail evaluate run=first episodes=100",
        (
            RUN,
            RUNS,
            Option("episodes", int, "episodes; by default as many as the run's configuration says"),
            Option("set", ("check", "final"), "which fixed starts", "final"),
            JSON,
        ),
    ),
    "review": Command(
        "review",
        "list a run's episodes, or relabel one",
        'handrail review run=first episode=12 label=failure why="module not seated"',
        (
            RUN,
            RUNS,
            Option("outcome", ("success", "failure", "aborted"), "only episodes that ended so"),
            Option("human", bool, "only episodes with (true) or without (false) a human step"),
            Option("purpose", ("train", "demo"), "only training episodes, or only demonstrations"),
            Option("last", int, "only the last so many"),
            Option("episode", int, "only this one; with label=, the one to relabel"),
            Option("label", ("success", "failure", "exclude", "demo"), "its new label"),
            Option("why", str, "the reason, kept with the label"),
            JSON,
        ),
    ),
    "doctor": Command(
        "doctor",
        "check this machine and the runs on it, one line a check",
        "handrail doctor --json",
        (RUNS, JSON),
        configured=True,
    ),
    "bench": Command(
        "bench.command",
        "measure: one line a figure, with the machine's matrix-multiply rate beside it",
        "handrail bench sim steps=5000 --json",
        (JSON,),
        configured=True,
    ),
    "actor": Command(
        "worker", "a run's actor: drives the arm, keeps the log", "handrail actor run=runs/first", (RUN, RUNS)
    ),
    "learner": Command(
        "worker",
        "a run's learner: trains on the log, publishes weights",
        "handrail learner run=runs/first",
        (RUN, RUNS),
    ),
    "evaluator": Command(
        "worker",
        "a run's evaluator: checks published weights",
        "handrail evaluator run=runs/first",
        (RUN, RUNS),
        hidden=True,
    ),
}
