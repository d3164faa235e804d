"""Which videos a batch is made of: files, folders, patterns, tables and addresses, one `Item` each.

Everything here is lazy: a table of a million rows, or a folder of as many files, is never held in memory.
"""

import csv
import glob
import os
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from repose.errors import UserError, expected, reading
from repose.export.parquet import import_pyarrow
from repose.pipeline import EstimateOptions

_KNOWN = "mp4 mov m4v 3gp 3g2 mkv webm avi mpg mpeg ts mts m2ts ogv flv wmv asf mxf dv gif y4m"
VIDEO_SUFFIXES = frozenset("." + suffix for suffix in str.split(_KNOWN))
"""Of the files in a folder those are taken that have one of these; a file that is named is always taken."""
COLUMNS = {
    "height": "height_m",
    "fov": "fov_deg",
    "intrinsics": "intrinsics_px",
    "person": "person",
    "fps": "fps",
    "capture_fps": "capture_fps",
}
"""Columns of a table of videos that are options of `EstimateOptions` for one video, and their fields."""
_STORES = ("s3", "gs", "gcs")
_WEB = ("http", "https")
_NAME_LENGTH = 60


@dataclass(frozen=True)
class Item:
    """A video, or a file or folder of keypoints, with the options that hold for it alone."""

    source: str
    """Absolute path, or an address (s3://, gs://, http://, https://)."""
    options: tuple[tuple[str, Any], ...] = ()
    """Fields of `EstimateOptions` and their values."""

    @property
    def name(self) -> str:
        """The name of all that belongs to it, which is a file name on every system.

        It follows from the source and its options alone, so that every run and every machine finds the same.
        """
        stem = Path(urlsplit(self.source).path if _address(self.source) else self.source).stem
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", unquote(stem))[:_NAME_LENGTH].strip("_-") or "video"
        key = msgspec.json.encode([self.source.encode("utf-8", "surrogateescape").hex(), self.options])
        return f"{plain}-{sha256(key).hexdigest()[:10]}"

    def stamp(self) -> str:
        """Return size and time of change, which tell a file from one in its place; nothing for an address."""
        with suppress(OSError, UserError):
            if not _address(self.source):
                found = os.stat(self.source)
                return f"{found.st_size} {found.st_mtime_ns}"
        return ""

    def in_shard(self, number: int, count: int) -> bool:
        """Whether it belongs to this part (from 1) of `count`, whatever else there is."""
        return int(self.name[-10:], 16) % count == number - 1

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Give the file on this machine, fetched for the while if it lies elsewhere.

        Raises UserError where it cannot be fetched.
        """
        if not _address(self.source):
            yield Path(self.source)
            return
        name = Path(unquote(urlsplit(self.source).path)).name or "video"
        with tempfile.TemporaryDirectory(prefix="repose-") as folder:
            path = Path(folder) / name
            with (
                reading(self.source, "a file that can be fetched"),
                _open(self.source) as content,
                path.open("wb") as file,
            ):
                shutil.copyfileobj(content, file, 1 << 20)
            yield path


def find_items(
    inputs: Sequence[str], besides: Path | None = None, left_out: set[str] | None = None
) -> Iterator[Item]:
    """Find the videos that are meant by files, folders, patterns, tables and addresses, in their order.

    A table is a CSV or Parquet file with a column `path`, and perhaps those of `COLUMNS`. Paths in it are
    relative to its folder. A folder stands for the videos in it and below, and for each folder of frames
    that OpenPose or Ultralytics wrote.

    Args:
        inputs: what the user gave.
        besides: folder that is not searched: that of the results.
        left_out: told what was not taken, in words.

    Raises:
        UserError: an input that is not there or holds no video, and a table that cannot be read.
    """
    left_out = set() if left_out is None else left_out
    for text in inputs:
        found = _expand(text, besides and besides.resolve(), left_out)
        first = next(found, None)
        if first is None:
            raise UserError(
                f"{text}: no video in it",
                "Videos in a folder are known by their names (.mp4, .mov, …); name other files, or give a "
                "pattern such as 'clips/*.json'.",
            )
        yield from chain((first,), found)


def _expand(text: str, besides: Path | None, left_out: set[str]) -> Iterator[Item]:
    if _address(text):
        yield from _stored(text, left_out)
    elif os.path.isdir(text):
        yield from _folder(Path(text), besides, left_out)
    elif os.path.exists(text):
        yield from _file(Path(text), left_out)
    elif glob.has_magic(text):
        for match in glob.iglob(text, recursive=True):
            inside = (
                _folder(Path(match), besides, left_out)
                if os.path.isdir(match)
                else _file(Path(match), left_out)
            )
            yield from inside
    else:
        raise UserError(
            f"no file at {text}", "Check the path; a pattern that the shell is not to expand needs quotes."
        )


def _file(path: Path, left_out: set[str]) -> Iterator[Item]:
    if (rows := _table(path)) is not None:
        for number, row in enumerate(rows, start=1):
            yield _row(path, number, row, left_out)
    else:
        yield Item(os.path.abspath(path))


def _folder(folder: Path, besides: Path | None, left_out: set[str]) -> Iterator[Item]:
    for place, inner, files in os.walk(folder):
        here = Path(place)
        inner[:] = sorted(
            name for name in inner if not name.startswith(".") and (here / name).resolve() != besides
        )
        shown = sorted(name for name in files if not name.startswith("."))
        videos = [name for name in shown if Path(name).suffix.lower() in VIDEO_SUFFIXES]
        frames = [name for name in shown if re.search(r"\d+(_keypoints)?\.(json|txt)$", name)]
        if not videos and len(frames) > 1 and len(frames) == len(shown):
            yield Item(os.path.abspath(here))
            continue
        yield from (Item(os.path.abspath(here / name)) for name in videos)
        if others := {Path(name).suffix.lower() or "without suffix" for name in shown} - VIDEO_SUFFIXES:
            left_out.add(f"files that are no videos by their names ({', '.join(sorted(others)[:8])})")


def _table(path: Path) -> Iterator[Mapping[str, Any]] | None:
    """Return the rows of a table of videos; None for a file that is something else."""
    with reading(path, "a file that can be read"), path.open("rb") as file:
        start = file.read(4096)
    if start[:4] == b"PAR1":
        return _parquet_rows(path)
    if b"\0" in start or path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return None
    header = start.decode("utf-8-sig", errors="replace").splitlines()[:1]
    separator = "\t" if header and "\t" in header[0] else ";" if header and ";" in header[0] else ","
    names = next(csv.reader(header, delimiter=separator), [])
    return _csv_rows(path, separator) if "path" in [name.strip().lower() for name in names] else None


def _csv_rows(path: Path, separator: str) -> Iterator[Mapping[str, Any]]:
    with reading(path, "a table of videos"), path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=separator, restkey=""):
            yield {name.strip().lower(): value for name, value in row.items()}


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    pyarrow = import_pyarrow()
    with reading(path, "a table of videos"), pyarrow.parquet.ParquetFile(path) as file:
        if "path" not in file.schema_arrow.names:
            expected(f"{path}: columns", "one called path", ", ".join(file.schema_arrow.names[:8]))
        for batch in file.iter_batches(4096):
            yield from batch.to_pylist()


def _row(table: Path, number: int, row: Mapping[str, Any], left_out: set[str]) -> Item:
    where = f"{table}: row {number}"
    source = str(row.get("path") or "").strip()
    if not source:
        expected(f"{where}: path", "a path or an address", "nothing")
    if not _address(source):
        source = os.path.abspath(table.parent / source)
    if unused := [name or "without a name" for name in row if name != "path" and name not in COLUMNS]:
        left_out.add(f"columns of {table.name} that are no options ({', '.join(unused[:8])})")
    given = {
        COLUMNS[name]: value for name, value in row.items() if name in COLUMNS and value not in (None, "")
    }
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name == "person":
            options[name] = str(value).strip()
            continue
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        try:
            numbers = [float(word) for word in (words if isinstance(words, list) else [words])]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != (4 if name == "intrinsics_px" else 1):
            expected(
                f"{where}: {name}", "fx fy cx cy" if name == "intrinsics_px" else "a number", repr(value)
            )
        options[name] = tuple(numbers) if name == "intrinsics_px" else numbers[0]
    try:
        EstimateOptions(**options)
    except UserError as error:
        raise UserError(f"{where}: {error.message}", error.hint) from None
    return Item(source, tuple(sorted(options.items())))


def _address(text: str) -> bool:
    """Whether this is an address and not a path; raises UserError for a scheme that is not known."""
    scheme, found, _ = text.partition("://")
    if not found or not scheme.isalnum():
        return False
    if scheme.lower() not in (*_STORES, *_WEB):
        expected(f"{text}", f"an address that begins with {', '.join((*_STORES, *_WEB))}", scheme)
    return True


def _stored(address: str, left_out: set[str]) -> Iterator[Item]:
    """Yield the video at an address, or those below it in a bucket."""
    if urlsplit(address).scheme in _WEB:
        yield Item(address)
        return
    with reading(address, "a place in a bucket"):
        files, path = import_pyarrow().fs.FileSystem.from_uri(address)
        kind = import_pyarrow().fs
        if files.get_file_info(path).type == kind.FileType.File:
            yield Item(address)
            return
        bucket, _, options = address.partition("?")
        for info in files.get_file_info(kind.FileSelector(path, recursive=True)):
            if info.type == kind.FileType.File and Path(info.path).suffix.lower() in VIDEO_SUFFIXES:
                below = info.path.removeprefix(path).lstrip("/")
                yield Item(f"{bucket.rstrip('/')}/{below}{'?' if options else ''}{options}")
            elif info.type == kind.FileType.File:
                left_out.add(
                    f"files that are no videos by their names ({Path(info.path).suffix or 'without suffix'})"
                )


def _open(address: str) -> Any:
    """Open the content at an address."""
    if urlsplit(address).scheme in _WEB:
        return urllib.request.urlopen(address, timeout=60)
    files, path = import_pyarrow().fs.FileSystem.from_uri(address)
    return files.open_input_stream(path)


def parse_shard(text: str | None) -> tuple[int, int]:
    """Parse "2/8", the second of eight parts; (1, 1) for None. Raises UserError for anything else."""
    if text is None:
        return 1, 1
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        expected("--shard", "i/n with i from 1 to n, such as 3/8", text)
    return number, count
