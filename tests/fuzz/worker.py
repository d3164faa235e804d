"""One input at a time, in a process of its own whose time and memory are measured."""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType

import av
import torch

from repose.errors import UserError

from .mutation import of_bytes
from .readers import find

LIMIT_S = 2.0
"""Of processor time; waiting for other programs is no fault of a reader."""
LIMIT_MB = 500
"""Of memory above what the process had."""
_ADDRESS_SPACE_MB = 4096
_STUCK_S = 180.0
"""Of the clock, after which a process that does not answer is ended."""
_LONGEST_MESSAGE = 4000


@dataclass(frozen=True)
class Outcome:
    kind: str
    """What became of it: accepted, refused, or an escape: exception, slow, memory, warning, message, died."""
    where: str = ""
    """Exception and the last function of the package that it went through; escapes that share it are one."""
    detail: str = ""

    @property
    def escaped(self) -> bool:
        return self.kind not in ("accepted", "refused")

    @property
    def signature(self) -> tuple[str, str]:
        return self.kind, self.where


def content(reader: str, seed: int, number: int) -> bytes:
    """Input `number` of a reader: the same for the same seed, in every process."""
    rng = Random(f"{seed} {reader} {number}")
    choices = find(reader).seeds
    mutate, _ = choices[at := rng.randrange(len(choices))]
    sound = _sound(reader, at)
    try:
        return mutate(rng, sound)
    except Exception:
        # What a writer of the format refuses to write is damaged byte by byte.
        return of_bytes(rng, sound)


_SOUND: dict[tuple[str, int], bytes] = {}


def _sound(reader: str, at: int) -> bytes:
    makes = [make for _, make in find(reader).seeds]
    first = makes.index(makes[at])
    if (reader, first) not in _SOUND:
        _SOUND[reader, first] = makes[first]()
    return _SOUND[reader, first]


class Worker:
    """A process that reads inputs; another one takes its place where it died or was ended."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, reader: str, data: bytes) -> Outcome:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        outcome = Outcome("died", "", "no answer")
        try:
            self._pipe.send((reader, data))
            if self._pipe.poll(_STUCK_S):
                outcome = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join(10)
            outcome = Outcome("died", "", f"exit code {self._process.exitcode}")
        if outcome.kind in ("died", "slow"):
            self._end()  # what it left behind would be blamed on the next input
        return outcome

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe: Connection) -> None:
    """Answer what is sent, silently, until the other end is closed."""
    torch.set_num_threads(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    signal.signal(signal.SIGPROF, _too_slow)
    known: set[str] = set()
    while True:
        try:
            name, data = pipe.recv()
        except EOFError:
            return
        if name not in known:
            # Imports and tables that are made once are no cost of this input.
            known.add(name)
            if not name.startswith("planted"):
                observe(name, _sound(name, 0), limited=False)
        with _address_space(_ADDRESS_SPACE_MB):
            outcome = observe(name, data)
        pipe.send(outcome)


class _TooSlow(BaseException):
    """No parser catches it."""


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise _TooSlow


def observe(name: str, data: bytes, limited: bool = True) -> Outcome:
    reader = find(name)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        path = reader.place(Path(folder), data)
        before = _forget_peak()
        started = time.process_time()
        try:
            if limited:
                signal.setitimer(signal.ITIMER_PROF, LIMIT_S, LIMIT_S)
            reader.use(path)
            outcome = Outcome("accepted")
        except UserError as error:
            outcome = _refused(error)
        except _TooSlow as error:
            outcome = Outcome("slow", _place(error), f"more than {LIMIT_S:g} s")
        except MemoryError as error:
            outcome = Outcome("memory", _place(error), "asked for more than there is")
        except BaseException as error:
            outcome = Outcome("exception", f"{type(error).__name__} in {_place(error)}", _told(error))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        spent = time.process_time() - started
        grown_mb = (_peak() - before) / 2**20
    if limited and not outcome.escaped:
        if spent > LIMIT_S:
            return Outcome("slow", "", f"{spent:.1f} s")
        if grown_mb > LIMIT_MB:
            return Outcome("memory", "", f"{grown_mb:.0f} MB")
        for warning in warned:
            place = Path(warning.filename).name
            return Outcome("warning", f"{warning.category.__name__} in {place}", _ascii(str(warning.message)))
    return outcome


def _refused(error: BaseException) -> Outcome:
    """A `UserError`, which must be fit for a terminal, and no memory error in other words."""
    cause: BaseException | None = error
    while cause is not None:
        # FFmpeg's is its own bound (`repose.video`), met before anything was taken.
        if isinstance(cause, MemoryError) and not isinstance(cause, av.FFmpegError):
            return Outcome("memory", _place(cause), "asked for more than there is")
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    try:
        text.encode().decode()
    except UnicodeError:
        return Outcome("message", f"not printable, from {_place(error)}", _ascii(text))
    if len(text) > _LONGEST_MESSAGE:
        return Outcome("message", f"too long, from {_place(error)}", _ascii(text))
    unexpected = "found a file that cannot be read" in text
    return Outcome("refused", "unexpected" if unexpected else "", _ascii(text))


def _place(error: BaseException) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if {"repose", "fuzz"} & set(Path(frame.filename).parts[-3:-1])
        and Path(frame.filename).name not in ("errors.py", "worker.py", "readers.py")
    ]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"


def _told(error: BaseException) -> str:
    return _ascii(f"{type(error).__name__}: {error}")


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:300]


@contextmanager
def _address_space(more_mb: int) -> Iterator[None]:
    """What would take this much more memory fails inside, and does not take the machine's."""
    if not sys.platform.startswith("linux"):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more_mb * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _forget_peak() -> int:
    """Start to measure the most memory that is used from here on; returns what is used now, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
