"""The folder of a batch: poses of each video as a Parquet file, and what became of each video.

    batch.json              format, options of the run
    poses/NAME.parquet      one row a frame and person (`repose.export.parquet.write_frames`)
    videos/NAME.json        what became of a video (`VideoRow`): written last, so what it says is there
    videos.parquet          all of these as one table, made at the end of each run
    folders/NAME/           what `repose estimate` writes, where wanted

Whatever is written here takes its place whole, and may be written twice: who is killed, or works on a video
that somebody else works on as well, does no harm.
"""

import heapq
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from repose.errors import UserError, expected, reading
from repose.export.notes import notes
from repose.export.parquet import import_pyarrow, read_frames, write_frames
from repose.export.results import write_poses
from repose.files.output import stage, stage_file
from repose.files.structured import Count, Text, decode
from repose.fitting.problem import measure_fit
from repose.pipeline import EstimateOptions
from repose.pose import Pose3D

FORMAT, VERSION = "repose-batch", 1
_NOT_OF_THE_RESULT = ("device", "workers")
"""Options that results do not depend on, so that a batch may go on with others."""
_AT_ONCE = 4096
RUNNING = ".running"
"""Folder of what is half written, and of the marks of who is at work."""

_NAME = "[A-Za-z0-9_-]{1,100}"
Name = Annotated[str, msgspec.Meta(pattern=f"^{_NAME}$")]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Size = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class VideoRow(msgspec.Struct, kw_only=True):
    """What became of a video."""

    name: Name
    source: Text
    status: Literal["done", "failed"]
    message: Text = ""
    """Why it failed."""
    people: Count = 0
    frames: Count = 0
    """Rows of its poses."""
    seconds: Size = 0.0
    """From the first to the last frame with somebody in it."""
    seen_share: Share | None = None
    """Of all joints in all frames; the others were inferred."""
    frames_swapped: Count = 0
    """In which left and right were put back."""
    residual: Size | None = None
    """Median distance of a seen joint from its keypoint, as a share of the person's height, of the worst."""
    assumed: list[Text] = []
    messages: list[Text] = []
    """What a user must know to read its numbers."""
    version: Text = ""
    """Of RePOSE."""
    run: Text = ""
    stamp: Text = ""
    """Size and time of change of the file (`Item.stamp`)."""
    took_s: Size = 0.0
    """Time of one worker for it, of which"""
    estimate_s: Size = 0.0
    """was in the detector and the lifter."""

    def about(self, poses: Sequence[Pose3D]) -> "VideoRow":
        """Fill in what its poses say."""
        seen = sum(int(pose.seen.sum()) for pose in poses)
        there = [pose for pose in poses if len(pose)]
        swaps = {frame for pose in poses for frame in _swapped(pose)}
        residuals = [residual for pose in there if (residual := _residual(pose)) is not None]
        self.people, self.frames = len(poses), sum(map(len, poses))
        if there:
            first, last = min(pose.times_s[0] for pose in there), max(pose.times_s[-1] for pose in there)
            self.seconds = round(float(last - first), 6)
            self.seen_share = round(seen / sum(pose.seen.size for pose in poses), 6)
        self.frames_swapped = len(swaps)
        self.residual = max(residuals, default=None)
        self.assumed = sorted({what for pose in poses for what in pose.record.get("assumed", ())})
        self.messages = [line[:10_000] for line in notes(list(poses))]
        return self


def _swapped(pose: Pose3D) -> Iterator[int]:
    for runs in pose.record.get("swaps_undone", {}).values():
        for first, last in runs:
            yield from range(first, last + 1)


def _residual(pose: Pose3D) -> float | None:
    if pose.intrinsics_px is None or pose.points_px is None or not pose.seen.any():
        return None
    share = measure_fit(pose)["reprojection"]
    return share if share is not None and np.isfinite(share) else None


class Batch:
    """The results of a batch: `batch[name]` are the poses of a video, `for name in batch` names them."""

    def __init__(self, folder: str | Path) -> None:
        """Open the folder; raises UserError where it is none that `repose batch` wrote."""
        self.folder = Path(folder)
        if not is_batch(self.folder):
            expected(str(folder), "a folder that repose batch wrote", "no batch.json in it")
        with reading(self.folder / "batch.json", "the description of a batch"):
            self.about = decode("batch.json", (self.folder / "batch.json").read_bytes(), _About)

    def rows(self) -> Iterator[VideoRow]:
        """Yield what became of each video so far, in no order."""
        with os.scandir(self.folder / "videos") as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    yield self.row(entry.name.removesuffix(".json"))

    def row(self, name: str) -> VideoRow:
        """Read what became of a video; raises KeyError for one that is not there."""
        if (row := self.get_row(name)) is None:
            raise KeyError(name)
        return row

    def get_row(self, name: str) -> VideoRow | None:
        """Read what became of a video; None for one that is not there."""
        file = self.folder / "videos" / f"{name}.json"
        try:
            data = file.read_bytes() if re.fullmatch(_NAME, name) else None
        except FileNotFoundError:
            data = None
        if data is None:
            return None
        row: VideoRow = decode(f"videos/{file.name}", data, VideoRow)
        if row.name != name:
            expected(f"videos/{file.name}: name", repr(name), repr(row.name))
        return row

    def find(self, text: str) -> VideoRow:
        """Find the video meant by its name, the beginning of it, its file's name or its path.

        Raises UserError where that is none, or several.
        """
        if row := self.get_row(text):
            return row
        found = [
            row
            for row in self.rows()
            if row.name.startswith(text)
            or row.source in (text, os.path.abspath(text))
            or row.source.rsplit("/", 1)[-1] == text
        ]
        if len(found) != 1:
            names = ", ".join(sorted(row.name for row in found)[:5]) or "none"
            expected(f"--video {text}", "one video of this batch", names, "Names are in videos.parquet.")
        return found[0]

    def __getitem__(self, name: str) -> list[Pose3D]:
        row = self.row(name)
        if row.status == "failed":
            raise UserError(f"{name}: there are no poses, {row.message}", "Try again with --retry-failed.")
        return read_frames(self.folder / "poses" / f"{row.name}.parquet")

    def __iter__(self) -> Iterator[str]:
        return (row.name for row in self.rows() if row.status == "done")


class _About(msgspec.Struct):
    format: Literal["repose-batch"]
    version: Literal[1]
    options: dict[str, Any]


def read_batch(folder: str | Path) -> Batch:
    """Open the results of `repose batch`: the poses of its videos by their names.

    `repose.read_batch("out")["walk-1a2b3c4d5e"]` are the poses of one video. `rows()` says what became of
    each, `find` knows a video by its file's name. Raises UserError for a folder that is no batch.
    """
    return Batch(folder)


def is_batch(folder: Path) -> bool:
    """Whether `repose batch` wrote this folder."""
    return (folder / "batch.json").is_file()


def open_output(folder: Path, options: EstimateOptions, **more: Any) -> Batch:
    """Make the folder of a batch, or open it to go on; raises UserError if it was made with other options."""
    wanted = {**asdict(options), **more}
    wanted = {key: value for key, value in wanted.items() if key not in _NOT_OF_THE_RESULT}
    wanted = json.loads(json.dumps(wanted, default=str))
    if not is_batch(folder):
        if folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
            expected(str(folder), "a new folder, or one of repose batch", "other files in it")
        with stage(folder, ["batch.json"]) as partial:
            for part in ("poses", "videos", RUNNING):
                (partial / part).mkdir()
            about = {"format": FORMAT, "version": VERSION, "options": wanted}
            (partial / "batch.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    batch = Batch(folder)
    there = batch.about.options
    if changed := sorted(key for key in wanted | there if wanted.get(key) != there.get(key)):
        key = changed[0]
        expected(
            f"{folder}: {key}",
            f"{there.get(key)!r}, as in what is there",
            repr(wanted.get(key)),
            "Give the same options to go on, or another folder.",
        )
    return batch


def write_video(folder: Path, row: VideoRow, poses: Sequence[Pose3D], folders: bool = False) -> None:
    """Put the poses of a video in place, and then what became of it."""
    if poses:
        if folders:
            (folder / "folders").mkdir(exist_ok=True)
            write_poses(poses, folder / "folders" / row.name, force=True)
        with _placed_whole(folder, folder / "poses" / f"{row.name}.parquet") as partial:
            write_frames(poses, partial, row.name)
    with _placed_whole(folder, folder / "videos" / f"{row.name}.json") as partial:
        partial.write_bytes(msgspec.json.encode(row))
    for left in (folder / RUNNING).glob(f"{row.name}.*"):
        left.unlink(missing_ok=True)


@contextmanager
def _placed_whole(folder: Path, path: Path) -> Iterator[Path]:
    """Give a name to write to, apart from what programs look for by patterns, that then becomes `path`."""
    partial = folder / RUNNING / f"{path.stem}.{token_hex(4)}{path.suffix}"
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or not path.exists():  # another worker has done it
            hint = "What was done before is in place: free some disk space, and give the same command again."
            raise UserError(f"{path}: cannot be written: {error.strerror or error}", hint) from None


def note_try(folder: Path, name: str, run: str) -> int:
    """Note that a video is begun, and return how often it was in this run."""
    with (folder / RUNNING / f"{name}.tries").open("a+", encoding="utf-8") as file:
        file.write(f"{run}\n")
        file.seek(0)
        return file.read().split().count(run)


@contextmanager
def alone(folder: Path, number: int, count: int) -> Iterator[None]:
    """Hold this part of a batch; raises UserError while another run holds it, or works in other parts.

    Parts of the same number run at once, also on other machines that share the folder. The system lets go
    when the run ends, however it ends.
    """
    held = []
    try:
        for name, shared in ((f"of-{count}.lock", True), (f"{number}-of-{count}.lock", False)):
            held.append(_lock(folder / RUNNING / name, shared))
            if held[-1] is None:
                raise UserError(
                    f"{folder}: another run is at work on part {number} of {count}",
                    "Wait for it, or share the work from the start: --shard 1/2 here and --shard 2/2 there.",
                )
        for other in (folder / RUNNING).glob("of-*.lock"):
            if other.name != f"of-{count}.lock":
                held.append(_lock(other, False))
                if held[-1] is None:
                    raise UserError(
                        f"{folder}: another run is at work in another number of parts ({other.stem[3:]})",
                        "Wait for it, or give all runs the same number after the stroke of --shard.",
                    )
                os.close(held.pop())  # type: ignore[arg-type]
        yield
    finally:
        for handle in held:
            if handle is not None:
                os.close(handle)


def _lock(path: Path, shared: bool) -> int | None:
    """Lock a file until it is closed; None where somebody else has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        import fcntl
    except ImportError:  # Windows has none that ends with its process
        return handle
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


@dataclass
class Summary:
    """How a batch stands, and which of its videos to look at first."""

    done: int = 0
    failed: int = 0
    frames: int = 0
    seconds: float = 0.0
    worst: dict[str, list[VideoRow]] = field(default_factory=dict)
    """By what is worst: the videos, worst first."""
    failures: list[VideoRow] = field(default_factory=list)
    """The first of those that failed."""


def badness(row: VideoRow) -> dict[str, float]:
    """How bad a video is in each respect; what is not bad at all is left out."""
    unseen = 0.0 if row.seen_share is None else 1 - row.seen_share
    found = {
        "least seen": unseen,
        "most swaps": row.frames_swapped / max(row.frames, 1),
        "most residual": row.residual or 0.0,
    }
    return {what: value for what, value in found.items() if value > 0}


def write_table(batch: Batch, worst: int = 3) -> Summary:
    """Write `videos.parquet`, one row a video, and sum them up. Memory does not grow with their number."""
    pyarrow = import_pyarrow()
    schema = _table_schema(pyarrow)
    summary, heaps = Summary(), dict[str, list[tuple[float, str, VideoRow]]]()
    file = _lock_for_table(batch.folder)
    try:
        with (
            stage_file(batch.folder / "videos.parquet") as partial,
            pyarrow.parquet.ParquetWriter(partial, schema, compression="zstd") as writer,
        ):
            rows = batch.rows()
            while part := list(islice(rows, _AT_ONCE)):
                part.sort(key=lambda row: row.name)
                plain = [msgspec.to_builtins(row) for row in part]
                writer.write_table(pyarrow.Table.from_pylist(plain, schema=schema))
                for row in part:
                    _add(summary, heaps, row, worst)
    finally:
        os.close(file)
    summary.worst = {what: [row for *_, row in sorted(heap, reverse=True)] for what, heap in heaps.items()}
    return summary


def _lock_for_table(folder: Path) -> int:
    """Wait for other runs that write the table: the last one to write has seen all that the others did."""
    handle = os.open(folder / RUNNING / "table.lock", os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(ImportError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _add(summary: Summary, heaps: dict[str, list[Any]], row: VideoRow, worst: int) -> None:
    if row.status == "failed":
        summary.failed += 1
        if len(summary.failures) < worst:
            summary.failures.append(row)
        return
    summary.done += 1
    summary.frames += row.frames
    summary.seconds += row.seconds
    for what, value in badness(row).items():
        heap = heaps.setdefault(what, [])
        (heapq.heappush if len(heap) < worst else heapq.heappushpop)(heap, (value, row.name, row))


def _table_schema(pyarrow: Any) -> Any:
    kinds = {"people": "int64", "frames": "int64", "frames_swapped": "int64"}
    kinds |= dict.fromkeys(("seconds", "seen_share", "residual", "took_s", "estimate_s"), "float64")
    units = dict.fromkeys(("seconds", "took_s", "estimate_s"), "s")
    units |= {"seen_share": "share of joints and frames", "residual": "share of the person's height"}
    fields = []
    for name in VideoRow.__struct_fields__:
        kind = getattr(pyarrow, kinds.get(name, "string"))()
        kind = pyarrow.list_(kind) if name in ("assumed", "messages") else kind
        fields.append(pyarrow.field(name, kind, metadata={"unit": units.get(name, "")}))
    return pyarrow.schema(fields, metadata={"format": FORMAT, "version": str(VERSION)})
