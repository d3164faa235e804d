"""Writing a result folder, or a single file, whole or not at all."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from repose.errors import UserError, expected

_placed: list[Path] = []


def placed() -> list[Path]:
    """List the files and new folders that this process has put in place, in order, each once."""
    return list(dict.fromkeys(_placed))


def note_placed(path: Path) -> None:
    """Count in what took its place by other means than `stage` and `stage_file`."""
    _placed.append(path)


def forget_placed() -> None:
    """Start over, for another command."""
    _placed.clear()


def check_output(folder: str | Path, names: Iterable[str], *, force: bool = False) -> None:
    """Raise UserError if `folder` has one of the files `names` and `force` is not set, or is no folder.

    Meant to be called before long work, so that it is not wasted; `stage` checks again.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: expected a folder for the results, found a file", "Choose another name.")
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise UserError(
            f"{folder}: has {', '.join(there)} already", "Choose another folder, or overwrite with --force."
        )


@contextmanager
def stage(folder: str | Path, names: Iterable[str], *, force: bool = False) -> Iterator[Path]:
    """Give a hidden folder to write the files `names` to; on success they are moved to `folder`.

    If the block raises or is interrupted, the hidden folder is removed and `folder` is as it was; it does
    not even come to exist. A folder that was there keeps its other files. Raises UserError where the
    files exist and `force` is not set, and where the disk is full or the place cannot be written.
    """
    folder = Path(folder)
    check_output(folder, names, force=force)
    new = not folder.exists()
    beside = folder.parent if new else folder
    partial = beside / f".{folder.resolve().name}.partial-{token_hex(4)}"
    made: list[Path] = []
    try:
        for parent in reversed([beside, *beside.parents]):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        partial.mkdir()
        yield partial
        if new:
            partial.rename(folder)
            _placed.append(folder)
        else:
            for file in sorted(partial.iterdir()):
                os.replace(file, folder / file.name)
                _placed.append(folder / file.name)
        made.clear()
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write results ({error.strerror or error})",
            "Nothing was kept. Free some disk space, or choose another folder.",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            for parent in reversed(made):
                parent.rmdir()


def check_file(path: str | Path, *, force: bool = True) -> None:
    """Raise UserError where a file cannot be written, or is there unless `force` is set.

    Meant to be called before long work.
    """
    path = Path(path)
    if path.is_dir():
        expected(str(path), "the name of a file to write", "a folder", "Add a file name.")
    if not path.parent.is_dir():
        expected(str(path), "a folder to write to", f"none called {path.parent}", "Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: {path.parent} cannot be written to", "Choose another folder.")
    if not force:
        check_absent(path)


def check_absent(path: Path) -> None:
    """Raise UserError where there is such a file."""
    if path.exists():
        raise UserError(f"{path}: is there already", "Choose another name, or overwrite with --force.")


@contextmanager
def stage_file(
    path: str | Path, *, hint: str = "Free some disk space, or choose another location."
) -> Iterator[Path]:
    """Give a hidden name next to `path`, with its suffix, to write to; on success it replaces `path`.

    If the block raises or is interrupted, the hidden file is removed and `path` is as it was; if the power
    fails, `path` is either the old or the new one. Raises UserError as `check_file`, and with `hint` where
    the disk is full.
    """
    check_file(path)
    path = Path(path)
    partial = path.with_name(f".{path.stem}.partial-{token_hex(4)}{path.suffix}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        _placed.append(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}", hint) from None
    finally:
        partial.unlink(missing_ok=True)
