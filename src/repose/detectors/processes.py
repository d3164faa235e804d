"""Work shared out to processes of this machine, some of which may die.

Each process is a fresh Python, so nothing of the parent is in it but what it is sent. It ends with its
parent, however that ends.
"""

import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, TypeVar

from repose.errors import UserError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_FALSE_STARTS = 3
"""So many processes in a row that die before they are ready end the work."""


@dataclass(eq=False)
class _Seat:
    process: BaseProcess
    pipe: Any
    item: Any = None
    ready: bool = False


def share_out(
    make: Callable[[], Callable[[Item], Answer]],
    items: Iterable[Item],
    count: int,
    died: Callable[[Item], None] = lambda item: None,
) -> Iterator[Answer]:
    """Let `count` processes do the items, with what `make` makes in each; yields answers as they come.

    A process that dies is replaced, and its item given to another; `died` is told, and what it raises ends
    the work. Raises UserError of a process, and for processes that die before they have begun.
    """
    coming, again = iter(items), deque[Item]()
    seats: list[_Seat] = []
    false_starts = 0

    def take() -> list[Item]:
        return [again.popleft()] if again else list(islice(coming, 1))

    try:
        while True:
            while len(seats) < count and (taken := take()):
                seats.append(_seat(make))
                _give(seats[-1], taken[0])
            if not seats:
                return
            for pipe in connection.wait([seat.pipe for seat in seats]):
                seat = next(seat for seat in seats if seat.pipe is pipe)
                try:
                    answer = seat.pipe.recv()
                except (EOFError, OSError):
                    seats.remove(seat)
                    _dismiss(seat)
                    false_starts = 0 if seat.ready else false_starts + 1
                    if false_starts >= _FALSE_STARTS:
                        raise _dying(seat.process.exitcode) from None
                    died(seat.item)
                    again.append(seat.item)
                    continue
                if isinstance(answer, UserError):
                    raise answer
                if not seat.ready:
                    seat.ready, false_starts = True, 0
                    continue
                yield answer
                if taken := take():
                    _give(seat, taken[0])
                else:
                    seats.remove(seat)
                    _dismiss(seat)
    finally:
        for seat in seats:
            seat.process.terminate()
        for seat in seats:
            _dismiss(seat)


def _dying(exitcode: int | None) -> UserError:
    how = f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit code {exitcode}"
    return UserError(
        f"processes end before they have begun ({how})",
        "If the system ends them for want of memory, take fewer: --workers.",
    )


def _seat(make: Callable[[], Any]) -> _Seat:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(make, theirs))
    with nullcontext() if b"__main__" in pickle.dumps(make) else _main_hidden():
        process.start()
    theirs.close()
    return _Seat(process, ours)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep a new process from importing the user's script, which would do all it does once more there."""
    main = sys.modules["__main__"].__dict__
    hidden: dict[str, Any] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)


def _give(seat: _Seat, item: Any) -> None:
    seat.item = item
    with suppress(OSError):  # it has died: the loop will see that
        seat.pipe.send(item)


def _dismiss(seat: _Seat) -> None:
    seat.pipe.close()
    seat.process.join()


def _serve(make: Callable[[], Callable[[Any], Any]], pipe: Any) -> None:
    """Do what comes through the pipe until it is closed: the life of a process."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its processes
    Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores out
    try:
        do = make()
        pipe.send(None)
        while True:
            pipe.send(do(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return
    except UserError as error:
        pipe.send(error)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
