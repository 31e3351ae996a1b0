"""Where a run keeps everything: one folder that describes itself and can be moved as a whole.

config.yaml         the resolved configuration, as text
meta.json           schema, run id, versions, seed, when it was created
segments/*.seg      the episode log: the truth
index.db            SQLite index of the log, rebuilt on demand
diagnostics.db      what the learner found out about itself, over time
checkpoints/        the learner's state
policy/             promoted weights
vision/             the trunk that the policy sees with, where there are cameras
cameras.npz         a small picture of each physical camera, to know it again by
evaluations.jsonl, summary.json, tensorboard/, logs/*.log, *.lock
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from handrail.intervention.durable import sync_path
from handrail.intervention.locks import FileLock
from handrail.robot_env.errors import HandrailError

RUN_SCHEMA = 1
_IPC_PATH_LIMIT = 107  # sizeof(sockaddr_un.sun_path) - 1
_SOCKET_NAME_ROOM = 24


class RunError(HandrailError):
    """A folder is not a run of this version, or cannot become one."""

    exit_code = 11


class RunDirectory:
    """Paths and locks of one run. The constructor touches nothing on disk; call `create` or `open`.

    Args:
        path: The run's folder; its name is the run's id.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()

    def create(self, config_yaml: str, meta: dict[str, Any]) -> "RunDirectory":
        """Make the folder of a new run.

        Args:
            config_yaml: The resolved configuration.
            meta: Anything worth knowing later (versions, seed, command); the schema and the id are added.

        Raises:
            RunError: the folder already holds a run, or cannot be made.
        """
        if self._meta_file.exists():
            raise RunError(
                f"{self.path} already holds a run; choose another id, or resume it with run={self.id}."
            )
        return self.remake(config_yaml, meta)

    def remake(self, config_yaml: str, meta: dict[str, Any]) -> "RunDirectory":
        """Describe a run anew, of which nothing but its description is there; for whoever holds its locks.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            for folder in (self.segments, self.checkpoints, self.policy, self.tensorboard, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            write_durably(self.config_file, config_yaml)
            # Last: a folder with meta.json is a complete run, one without never was a run.
            described = {**meta, "schema": RUN_SCHEMA, "run_id": self.id}
            write_durably(self._meta_file, json.dumps(described, indent=2, sort_keys=True) + "\n")
        except OSError as error:
            raise RunError(f"{self.path} cannot be made a run: {error}; choose another place.") from error
        return self

    def open(self) -> "RunDirectory":
        """Check that the folder is a run of this version; touches nothing.

        Raises:
            RunError: it is no run, its description cannot be read, or it has another schema.
        """
        try:
            schema = self.meta().get("schema")
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run: it has no meta.json; check the run's id.") from None
        except ValueError as error:
            raise RunError(f"{self._meta_file} cannot be read: {error}; restore it from a copy.") from error
        if schema != RUN_SCHEMA:
            raise RunError(
                f"Run {self.path} has schema {schema}, this version uses {RUN_SCHEMA}; "
                "open it with the version that wrote it. Nothing was changed."
            )
        return self

    def meta(self) -> dict[str, Any]:
        """What `meta.json` says."""
        return json.loads(self._meta_file.read_text(encoding="utf-8"))

    def amend_meta(self, **facts: Any) -> None:
        """Add to what `meta.json` says, or replace it; for whoever holds the run.

        Raises:
            RunError: the disk refused; the old description is untouched.
        """
        try:
            text = json.dumps({**self.meta(), **facts}, indent=2, sort_keys=True) + "\n"
            write_durably(self._meta_file, text)
        except OSError as error:
            raise RunError(f"{self._meta_file} cannot be written: {error}; make room.") from error

    def lock(self, role: str) -> FileLock:
        """Take a role ("learner", "actor", …) of the run; the process's death releases it too.

        Raises:
            RunLocked: another process has it; the message names that process and since when.
        """
        return FileLock(self.path / f"{role}.lock", role)

    def socket_dir(self) -> Path:
        """Return the run's folder for ipc sockets: private (0700), short, the same in every process.

        A socket's path may have 107 bytes, which a run deep in a home folder exceeds; so sockets live in the
        user's runtime folder, under a hash of the run's path.

        Raises:
            RunError: the folder belongs to somebody else, or its path is too long as well.
        """
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if runtime and os.access(runtime, os.W_OK):
            base = Path(runtime) / "handrail"
        else:
            base = Path(tempfile.gettempdir()) / f"handrail-{os.getuid()}"
        folder = base / digest
        if len(os.fsencode(folder)) > _IPC_PATH_LIMIT - _SOCKET_NAME_ROOM:
            raise RunError(
                f"Socket folder {folder} is too long for ipc; set XDG_RUNTIME_DIR to a shorter one."
            )
        for each in (base, folder):
            each.mkdir(mode=0o700, exist_ok=True)
            status = each.lstat()
            if status.st_uid != os.getuid() or (status.st_mode & 0o077) or each.is_symlink():
                raise RunError(f"{each} is not a private folder of this user; remove it and try again.")
        return folder

    @property
    def id(self) -> str:
        """The run's id: the folder's name."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def _meta_file(self) -> Path:
        return self.path / "meta.json"

    @property
    def segments(self) -> Path:
        """Folder of the episode log."""
        return self.path / "segments"

    @property
    def index_file(self) -> Path:
        """SQLite index of the log."""
        return self.path / "index.db"

    @property
    def checkpoints(self) -> Path:
        """Folder of the learner's checkpoints."""
        return self.path / "checkpoints"

    @property
    def policy(self) -> Path:
        """Folder of promoted weights."""
        return self.path / "policy"

    @property
    def trunk_file(self) -> Path:
        """Weights of the trunk that the run's policy sees with."""
        return self.path / "vision" / "trunk.safetensors"

    @property
    def camera_pictures(self) -> Path:
        """A small picture of each physical camera as it was when the first episode began."""
        return self.path / "cameras.npz"

    @property
    def evaluations_file(self) -> Path:
        """One JSON line per evaluation."""
        return self.path / "evaluations.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard event files."""
        return self.path / "tensorboard"

    @property
    def diagnostics_file(self) -> Path:
        """SQLite file with what the learner found out about itself."""
        return self.path / "diagnostics.db"

    @property
    def logs(self) -> Path:
        """Folder of the processes' own logs."""
        return self.path / "logs"

    @property
    def summary_file(self) -> Path:
        """What the run came to, as JSON."""
        return self.path / "summary.json"


def write_durably(path: Path, text: str) -> None:
    """Replace a small file so that, whenever the machine stops, it holds the old text or the new one.

    Raises:
        OSError: the disk refused; the old file is untouched.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_path(path.parent)
