"""Where a dataset's files lie, and when the next one begins.

Files are numbered within chunks, folders of at most so many files; each grows by whole episodes up to a size.
"""

from dataclasses import dataclass

EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class FileLimits:
    """How large a dataset's files grow.

    Attributes:
        chunk_files: files in a chunk.
        data_mb: size of a file of rows [2²⁰ bytes].
        video_mb: size of a video file [2²⁰ bytes].
    """

    chunk_files: int = 1000
    data_mb: float = 100
    video_mb: float = 200


@dataclass(frozen=True)
class Place:
    """A file's number.

    Attributes:
        chunk: the chunk.
        file: the file in it.
    """

    chunk: int = 0
    file: int = 0

    def next(self, chunk_files: int) -> "Place":
        """The file after this one."""
        if self.file + 1 < chunk_files:
            return Place(self.chunk, self.file + 1)
        return Place(self.chunk + 1, 0)

    def path(self, template: str, **names: str) -> str:
        """The file's path in the dataset."""
        return template.format(chunk_index=self.chunk, file_index=self.file, **names)

    def columns(self, prefix: str) -> dict[str, int]:
        """The place as columns of `meta/episodes`."""
        return {f"{prefix}/chunk_index": self.chunk, f"{prefix}/file_index": self.file}
