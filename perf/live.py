"""How far behind the camera `repose live` is, and how many frames a second it manages.

    python perf/live.py [VIDEO...] [--seconds 60] [--lookahead 4] [--browser chromium] [--detector-alone]

Each video (the sample unless given) is played in a loop at its own speed, as if it were the camera, through
MediaPipe, lifter, viewer and a recording. Latency is from the frame's own time to the viewer's socket, and
with --browser to the page, which says so itself: a headless browser draws by the processor and takes a core
of its own. Memory and latency are told for each tenth of the time, which shows whether they grow.
"""

import argparse
import shutil
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from repose.detectors import get_detector
from repose.lifting import load
from repose.live import Frame, JsonServer, Recording, Session, Status
from repose.sample import sample_video
from repose.video import open_feed, open_video
from repose.viewer.live_viewer import LiveViewer


def alone(video: str, seconds: float) -> float:
    """Frames per second of MediaPipe by itself, pictures ready in memory."""
    pictures = [frame.rgb for frame, _ in zip(open_video(video), range(60), strict=False)]
    with get_detector("mediapipe").finder() as find:  # type: ignore[attr-defined]
        for picture in pictures[:20]:
            find(picture)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            find(pictures[count % len(pictures)])
            count += 1
        return count / (time.perf_counter() - start)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Page:
    """A browser that looks at the viewer, and writes down when each frame's time appears there."""

    def __init__(self, program: str, url: str) -> None:
        self.seen: list[tuple[float, str]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(program, url))
        self._thread.start()

    def _look(self, program: str, url: str) -> None:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as driver:
            flags = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
            browser = driver.chromium.launch(executable_path=shutil.which(program), args=flags)
            page = browser.new_page(viewport={"width": 640, "height": 360})
            page.goto(url)
            page.evaluate(
                """() => { window.seen = []; let last = "";
                const look = () => { const found = document.body.innerText.match(/frame at [0-9.]+ s/);
                  if (found && found[0] !== last) { last = found[0]; seen.push([Date.now() / 1000, last]); }
                  requestAnimationFrame(look); }; look(); }"""
            )
            while not self._ended.wait(0.5):
                pass
            self.seen = page.evaluate("() => window.seen")
            browser.close()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


def measure(video: str, seconds: float, lookahead: int, browser: str | None) -> None:
    process = psutil.Process()
    latencies: list[float] = []
    shown_at: dict[str, float] = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        feed = stack.enter_context(closing(open_feed(video, loop=True)))
        size = feed.info.width, feed.info.height
        viewer = stack.enter_context(closing(LiveViewer("perf", size, port=8300)))
        recording = Recording(Path(folder) / "result")
        sinks: list[Any] = [recording, stack.enter_context(closing(JsonServer(f"127.0.0.1:{free_port()}")))]
        page = Page(browser, viewer.url) if browser else None
        if page is None:  # somebody has to look, or nothing is drawn
            viewer._server.get_clients = lambda: {0: None}  # type: ignore[method-assign]
            viewer._move_to = lambda *_: None  # type: ignore[method-assign]

        def show(frame: Frame, status: Status) -> None:
            words = f"frame at {frame.time_s:.3f} s"
            viewer.show(frame.number, frame.picture, frame.poses, [words])
            if frame.poses:
                latencies.append(1000 * (time.monotonic() - frame.taken_s))
                shown_at[words] = time.time() - time.monotonic() + frame.taken_s

        lifter = load("default", flip=False)
        session = Session(feed, get_detector("mediapipe"), lifter, sinks, show=show, lookahead=lookahead)  # type: ignore[arg-type]
        session.start()
        time.sleep(4.0)
        latencies.clear()
        used, begun, before = process.cpu_times(), time.monotonic(), session.status
        for tenth in range(10):
            mark = len(latencies)
            time.sleep(seconds / 10)
            part, status = np.array(latencies[mark:] or [np.nan]), session.status
            print(
                f"  {(tenth + 1) * seconds / 10:6.0f} s: median {np.median(part):4.0f} ms, "
                f"95 % {np.percentile(part, 95):4.0f} ms, detector {status.detected_hz:4.1f}/s, "
                f"lifter {status.lifted_hz:4.1f}/s, shown {status.shown_hz:4.1f}/s, "
                f"{process.memory_info().rss / 2**20:.0f} MB",
                flush=True,
            )
        spent = sum(process.cpu_times()[:2]) - sum(used[:2])
        took, after = time.monotonic() - begun, session.status
        session.stop()
        session.check()
        seen = page.close() or page.seen if page else []
        people = recording.write({})
    wait_ms = 1000 * lookahead / (session.rate_hz or 30.0)
    captured, dropped = after.captured - before.captured, after.dropped - before.dropped
    print(
        f"{Path(video).name} {size[0]}x{size[1]}: camera {captured / took:.1f}/s, dropped {dropped} of "
        f"{captured}, detector {(captured - dropped) / took:.1f}/s, {spent / took:.2f} cores; camera to "
        f"screen beyond the look-ahead's {wait_ms:.0f} ms: median {np.median(latencies) - wait_ms:.0f} ms, "
        f"95 % {np.percentile(latencies, 95) - wait_ms:.0f} ms; {sum(map(len, people))} poses recorded"
    )
    if late := [1000 * (at - shown_at[words]) for at, words in seen if words in shown_at]:
        rest = np.array(late[len(late) // 5 :]) - wait_ms
        print(f"  in the page: median {np.median(rest):.0f} ms, 95 % {np.percentile(rest, 95):.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", nargs="*", default=[str(sample_video())])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--lookahead", type=int, default=4)
    parser.add_argument("--browser")
    parser.add_argument("--detector-alone", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for video in arguments.videos:
        if arguments.detector_alone:
            print(f"MediaPipe alone: {alone(video, min(10, arguments.seconds)):.1f}/s")
        measure(video, arguments.seconds, arguments.lookahead, arguments.browser)


if __name__ == "__main__":
    main()
