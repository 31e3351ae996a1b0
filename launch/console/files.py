"""The page's own files: regular files of known kinds under `static/`, and nothing else."""

import re
import stat
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from handrail.launch.console.answers import refuse

STATIC = Path(__file__).parent / "static"

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LARGEST = 4 << 20


class Files:
    """Serves one folder.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder

    def answer(self, request: Request, name: str) -> Response:
        """The file of that name below the folder, if there is one that may be seen; else 404."""
        path = self._find(name)
        if path is None:
            return refuse(404, "no such file")
        status = path.stat()
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(path.read_bytes(), headers=headers, media_type=KINDS[path.suffix])

    def _find(self, name: str) -> Path | None:
        """The file, if each part of its name is plain, and none is a link."""
        parts = name.split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            return None
        path = self._folder
        for number, part in enumerate(parts):
            path = path / part
            try:
                mode = path.lstat().st_mode
            except (OSError, ValueError):
                return None
            last = number == len(parts) - 1
            if not (stat.S_ISREG(mode) if last else stat.S_ISDIR(mode)):
                return None
        return path if path.suffix in KINDS and path.stat().st_size <= _LARGEST else None
