"""Every `handrail` command, as data: what it does, its options, an example. `--help` is made from it."""

from dataclasses import dataclass

from handrail.launch.options import Option

RUN = Option("run", str, "the run: its name under runs/, or a path")
RUNS = Option("runs", str, "the folder that holds the runs", "runs")
JSON = Option("json", bool, "print JSON instead of a table", False)
OF_RUN = Option("run", str, "the run whose configuration, and whose own arm server, is meant")
ARM_ADDRESS = Option("arm_address", str, "where the arm server listens, if not as configured")
CHOICE = (
    Option("outcome", ("success", "failure", "shown", "aborted", "open"), "only episodes that came to this"),
    Option("labelled", ("success", "failure", "exclude", "demo", "none"), "only those with this label"),
    Option("labeller", str, "only those whose label is of this one: machine, person, or a name"),
    Option("human", bool, "only episodes with (true) or without (false) a human step"),
    Option("purpose", ("train", "demo", "classify", "evaluate"), "only those driven for this"),
    Option("weights", str, "only those of these versions of the weights: 40, 40-80, 40-, or none"),
    Option("operator", str, "only those with this person at the arm"),
    Option("day", str, "only those of this day, or of several: 2026-03-01..2026-03-07"),
    Option("text", str, "only those with this in a remark or a reason"),
    Option("episodes", str, "only these: numbers and ranges, such as 3,7,10-20"),
    Option("last", int, "only the last so many of them"),
)
"""Which episodes are meant, of `review` and `export`: the conditions of `intervention.episode_filter`."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        module: its module in `handrail.launch`, which has `main(options, overrides) -> exit code`.
        summary: what it does, in one line.
        example: a command line that works.
        options: its own options.
        configured: whether it also takes overrides of the run's configuration.
        hardware: whether it takes those that say which hardware is used, and no others.
        hidden: whether the overview leaves it out (a process that `train` starts).
    """

    module: str
    summary: str
    example: str
    options: tuple[Option, ...] = ()
    configured: bool = False
    hardware: bool = False
    hidden: bool = False


COMMANDS: dict[str, Command] = {
    "train": Command(
        "train",
        "train until the policy does the task unaided; run=<id> goes on with an earlier run",
        "handrail train seed=1 preset=parity",
        (
            RUN,
            RUNS,
            Option("display", ("auto", "live", "plain"), "how progress is shown", "auto"),
            Option("console", str, "the operator's page: on, off, or <host>:<port>", "on"),
            Option("tls", str, "of a console off loopback: the folder that `handrail console cert` made"),
        ),
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
        "evaluate a run's policy: frozen, unaided, on fixed full-range starts; moves a real arm",
        "handrail evaluate run=first episodes=100",
        (
            RUN,
            RUNS,
            Option("episodes", int, "episodes; by default as many as the run's configuration says"),
            Option("set", ("check", "final"), "which fixed starts", "final"),
            JSON,
        ),
        hardware=True,
    ),
    "review": Command(
        "review",
        "list a run's episodes, count them, relabel or remark on them; also while the run is driven",
        'handrail review run=first episode=12 label=failure why="module not seated"',
        (
            RUN,
            RUNS,
            *CHOICE,
            Option("by", ("day", "version", "operator"), "what they come to, group by group"),
            Option("episode", int, "only this one; with label= or comment=, the one that is meant"),
            Option(
                "label",
                ("success", "failure", "exclude", "demo", "undo"),
                "its new label, or with a filter that of each; undo takes the newest one back",
            ),
            Option("why", str, "the reason, kept with the label; many get none without"),
            Option("yes", bool, "with label= and a filter: do it; without, they are only listed", False),
            Option("step", int, "with label=success: the step, from 0, at which it was one; the last"),
            Option("comment", str, "a remark on the episode, kept with it"),
            JSON,
        ),
    ),
    "console": Command(
        "console.command",
        "the operator's page beside a run, to look on, step in, review; `console cert` makes a certificate",
        "handrail console run=first",
        (
            RUN,
            RUNS,
            Option("host", str, "address to listen on; off loopback only with tls=", "127.0.0.1"),
            Option("port", int, "port to listen on; 0 takes a free one", 8710),
            Option("tls", str, "folder with cert.pem and key.pem, as `handrail console cert` makes them"),
            Option("folder", str, "of `console cert`: where the new certificate goes"),
            Option(
                "names", str, "of `console cert`; or the hosts to answer to, by default the certificate's"
            ),
        ),
        configured=True,
    ),
    "export": Command(
        "export.command",
        "a run's episodes as csv, as a film (mp4), or as a LeRobotDataset v3.0 (lerobot)",
        "handrail export lerobot run=first outcome=success to=datasets/first",
        (
            RUN,
            RUNS,
            Option("to", str, "the file, or folder (lerobot), to make; named as the run; - prints csv"),
            *CHOICE,
            Option("all", bool, "also what is excluded, aborted, shown to a classifier or evaluated", False),
            Option("per", ("step", "episode"), "of csv: what a row is; a step"),
            Option("end_s", float, "of mp4: only the last so many seconds of each episode, as a reel"),
            Option("instruction", str, "of lerobot: the task in words"),
            Option("progress", ("auto", "lines", "off"), "how it is shown on stderr; lines: as JSON", "auto"),
            JSON,
        ),
        configured=True,
    ),
    "classify": Command(
        "classify.command",
        "a reward classifier from camera images: collect, train, check, inbox, accept",
        "handrail classify collect task=ram_insertion_cameras run=shown",
        (
            Option("run", str, "the run to collect into; the others read several, separated by commas"),
            RUNS,
            Option("positives", int, "collect: steps that show success", 200),
            Option("negatives", int, "collect: steps that show none", 600),
            Option("longest_s", int, "collect: an episode ends after so many seconds", 30),
            Option("name", str, "train, check, accept: the classifier's name, or its folder"),
            Option("classifiers", str, "the folder that holds the classifiers", "classifiers"),
            Option("version", str, "which version; by default the one in use, of accept the newest"),
            Option("pictures", str, "inbox: a folder that gets the frames in question, as PNG"),
            Option("all", bool, "check: also episodes that are older than the classifier", False),
            JSON,
        ),
        configured=True,
    ),
    "weights": Command(
        "weights",
        "what cameras are seen with: import weights, show what there is, pretrain some",
        "handrail weights import file=resnet10_params.pkl",
        (
            Option("file", str, "of `weights import`: HIL-SERL's pickle, timm's resnet10t, or safetensors"),
            Option("frames", int, "of `weights pretrain`: frames of each source at most", 8000),
            Option("minutes", int, "of `weights pretrain`: minutes of training at most", 10),
            Option("updates", int, "of `weights pretrain`: updates at most, beside the minutes"),
            Option("run", str, "of `show`: this run's; of `pretrain`: with the frames that it has recorded"),
            RUNS,
            JSON,
        ),
        configured=True,
    ),
    "arm-server": Command(
        "arm_server",
        "own an arm: gate, watchdog and limits around the only hands on its SDK",
        "handrail arm-server arm=sim_server",
        (OF_RUN, RUNS, ARM_ADDRESS),
        configured=True,
    ),
    "serl-rest": Command(
        "serl_rest",
        "offer HIL-SERL's REST protocol before an arm server",
        "handrail serl-rest arm=sim_server env.arm.server.rest_port=5000",
        (OF_RUN, RUNS, ARM_ADDRESS),
        configured=True,
        hidden=True,
    ),
    "arm": Command(
        "arm",
        "the operator's word to an arm server: state, stop, recover, open, close, tare; and keys for one",
        "handrail arm recover by=Ada",
        (
            Option("by", str, "who acknowledges the fault; goes into the server's log"),
            Option("folder", str, "of `arm keys`: where the new keys go"),
            OF_RUN,
            RUNS,
            ARM_ADDRESS,
            JSON,
        ),
        configured=True,
    ),
    "regrasp": Command(
        "regrasp",
        "open, have the part placed, close, lift: by the operator's keys, at the arm server",
        "HANDRAIL_CONF=~/handrail-conf handrail regrasp station=my_franka task=my_ram",
        (ARM_ADDRESS,),
        configured=True,
    ),
    "rig": Command(
        "rig.command",
        "have a station at hand to set it up in the console: pictures and poses, nothing recorded",
        "handrail rig station=sim_panda task=ram_insertion_cameras",
        (OF_RUN, RUNS),
        configured=True,
    ),
    "doctor": Command(
        "doctor",
        "check machine, station, runs; `doctor device` shows live axes, `doctor cameras` serial numbers",
        "handrail doctor arm=sim_server --json",
        (
            OF_RUN,
            RUNS,
            ARM_ADDRESS,
            JSON,
            Option("lines", bool, "print each check as a line of JSON, as soon as it has been made", False),
            Option("hand", bool, "with --lines or --json: somebody is there to move the device", False),
            Option("keep", bool, "doctor cameras: keep a picture of each, to know exchanged ones by", False),
        ),
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
        "worker",
        "a run's actor: drives the arm, keeps the log",
        "handrail actor run=runs/first",
        (RUN, RUNS, ARM_ADDRESS),
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
