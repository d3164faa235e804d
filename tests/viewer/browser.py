"""What the tests of this folder share: parts of poses, a page in a browser, colours in pictures."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from repose.pose import Pose3D

FRAMES = 60


def cut(pose: Pose3D, rows: slice, **changes: Any) -> Pose3D:
    """Some rows of a pose."""
    names = ("joints_m", "seen", "frames", "confidence", "points_px", "times_s", "deviation_m")
    parts = {name: getattr(pose, name) for name in names}
    rows_of = {name: part[rows] for name, part in parts.items() if part is not None}
    return replace(pose, **{**rows_of, **changes})


class Tab:
    """A page in the browser, and what it complains about and asks for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))

    def picture(self, selector: str) -> np.ndarray:
        """What an element shows, (height, width, 3)."""
        png = self.page.locator(selector).first.screenshot(timeout=120_000)
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


@dataclass
class Served:
    """A folder on a server of static files, as `python -m http.server` is one."""

    url: str
    sent: dict[str, int]
    """Bytes of each file that was asked for."""


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    sent: dict[str, int] = {}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:
            data = source.read()
            sent[self.path] = sent.get(self.path, 0) + len(data)
            outputfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/", sent)
    finally:
        server.shutdown()
        server.server_close()


def share_of(picture: np.ndarray, colour: tuple[int, int, int], within: int = 60) -> float:
    """Share of the pixels that are nearly of this colour."""
    return float((np.abs(picture - colour).max(axis=-1) < within).mean())


def until(true: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.2)
