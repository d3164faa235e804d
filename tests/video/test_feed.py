"""Sources that come at their own speed: a file in a camera's stead, network, standard input, no camera."""

import errno
import io
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from repose.errors import UserError
from repose.sample import sample_video
from repose.video import Feed, open_feed, write_video
from repose.video import feed as feeds


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames at 30 a second, each as grey as its number says; wider than high."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, (np.full((48, 64, 3), 20 * number, np.uint8) for number in range(12)), 30.0, crf=0)
    return path


def grey(picture: np.ndarray) -> int:
    return round(float(np.median(picture)) / 20)


def test_a_file_plays_at_its_own_speed(film: Path) -> None:
    with closing(open_feed(str(film))) as feed:
        assert (feed.info.width, feed.info.height, feed.info.fps) == (64, 48, 30)
        start_s = time.monotonic()
        came = [(frame, time.monotonic()) for frame in feed]
    np.testing.assert_allclose([frame.time_s for frame, _ in came], np.arange(12) / 30, atol=1e-6)
    assert [grey(frame.picture()) for frame, _ in came] == list(range(12))
    taken_s = np.array([frame.taken_s for frame, _ in came])
    np.testing.assert_allclose(np.diff(taken_s), 1 / 30, atol=1e-3)
    assert all(now_s >= frame.taken_s for frame, now_s in came), "no frame comes before its time"
    assert time.monotonic() - start_s >= 11 / 30
    assert came[0][0].picture(24).shape == (24, 32, 3)


def test_a_file_can_be_played_again_and_again(film: Path) -> None:
    with closing(open_feed(str(film), loop=True)) as feed:
        frames = [frame for frame, _ in zip(feed, range(30), strict=False)]
    assert [grey(frame.picture()) for frame in frames] == [number % 12 for number in range(30)]
    np.testing.assert_allclose(np.diff([frame.time_s for frame in frames]), 1 / 30, atol=1e-6)


def test_a_file_that_is_decoded_too_slowly_plays_slower(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    late = []
    with closing(open_feed(str(film), loop=True)) as feed:
        for frame, _ in zip(feed, range(100), strict=False):
            now[0] += 0.2
            late.append(now[0] - frame.taken_s)
    assert max(late) < 0.5 + 0.2 + 0.2


def test_a_feed_ends_when_it_is_closed(film: Path) -> None:
    feed = open_feed(str(film), loop=True)
    for number, _ in enumerate(feed):
        if number == 5:
            feed.close()
    assert number == 5


def test_standard_input(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with av.open(str(film)) as source, av.open(stream, "w", format="mpegts") as sink:
        out = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = out
                sink.mux(packet)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stream.getvalue())))
    with closing(open_feed("-")) as feed:
        frames = list(feed)
    assert [grey(frame.picture()) for frame in frames] == list(range(12))
    assert (feed.name, feed.info.width, feed.info.height) == ("standard input", 64, 48)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"not a video")))
    with pytest.raises(UserError, match="standard input: cannot be opened"):
        open_feed("-")


class Pictures(BaseHTTPRequestHandler):
    """A camera of the network: JPEG after JPEG, then the end, or silence."""

    silent = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/playlist":
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.end_headers()
            self.wfile.write(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for number in range(8):
            _, data = cv2.imencode(".jpg", np.full((48, 64, 3), 20 * number, np.uint8))
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data.tobytes() + b"\r\n")
            self.wfile.flush()
        if self.path == "/silent":
            self.silent.wait(60)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            Pictures.silent.set()
            server.shutdown()
            thread.join()


def take(feed: Feed, message: str) -> list[int]:
    """Everything that comes before it fails with this message."""
    came: list[int] = []
    with pytest.raises(UserError, match=message) as lost:
        came.extend(grey(frame.picture()) for frame in feed)
    assert lost.value.hint == "Check cable and network."
    return came


def test_a_camera_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_SILENT_S", 1.0)
    with served() as address:
        with closing(open_feed(f"http://user:secret@{address}/stream?token=1")) as feed:
            assert feed.name == f"http://{address}/stream"
            assert take(feed, rf"^http://{re.escape(address)}/stream was lost") == list(range(8))
        with closing(open_feed(f"http://{address}/silent")) as feed:
            assert len(take(feed, "/silent was lost: nothing came for 1 s")) >= 7
        with pytest.raises(UserError, match="cannot be opened"):
            open_feed(f"http://{address}/playlist")
    with pytest.raises(
        UserError, match=rf"^http://{re.escape(address)}/: cannot be opened \(Connection refused"
    ):
        open_feed(f"http://user:secret@{address}/")


def rtsp_camera(server: socket.socket) -> None:
    """Answer one RTSP client, and send 30 frames of H.264 in the same connection; then nothing."""
    client, _ = server.accept()
    with client, client.makefile("rb") as lines, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
        packets.bind(("127.0.0.1", 0))
        packets.settimeout(0.03)
        sdp = "v=0\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:a\r\n"
        answers = {
            "OPTIONS": ("Public: DESCRIBE, SETUP, PLAY\r\n", ""),
            "DESCRIBE": (f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n", sdp),
            "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", ""),
            "PLAY": ("Session: 1\r\n", ""),
        }
        method = ""
        while method != "PLAY":
            method = lines.readline().decode().split()[0]
            headers = dict(
                line.split(": ", 1) for line in iter(lambda: lines.readline().decode().strip(), "")
            )
            extra, body = answers[method]
            client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}\r\n{extra}\r\n{body}".encode())
        with av.open(f"rtp://127.0.0.1:{packets.getsockname()[1]}?pkt_size=1200", "w", format="rtp") as out:
            stream = out.add_stream("h264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.options = {"tune": "zerolatency", "x264-params": "repeat-headers=1:keyint=5"}
            for number in range(30):
                image = np.full((48, 64, 3), 20 * (number % 12), np.uint8)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                for packet in stream.encode(frame):
                    out.mux(packet)
                with suppress(TimeoutError):
                    while True:
                        data = packets.recv(65_536)
                        client.sendall(b"$\0" + len(data).to_bytes(2, "big") + data)
        lines.read()  # until the client has had enough


def test_an_rtsp_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_SILENT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=rtsp_camera, args=(server,), daemon=True)
        thread.start()
        with closing(open_feed(f"rtsp://user:secret@127.0.0.1:{server.getsockname()[1]}/a")) as feed:
            assert feed.name == f"rtsp://127.0.0.1:{server.getsockname()[1]}/a"
            assert (feed.info.width, feed.info.height) == (64, 48)
            came = take(feed, "was lost: nothing came for 1 s")
    assert came == [number % 12 for number in range(30)]


def test_addresses_of_other_kinds_are_refused() -> None:
    for address in ("ftp://example.com/a.mp4", "file:///etc/passwd", "concat://a|b"):
        with pytest.raises(UserError, match="expected an address of rtsp, rtsps, http, https"):
            open_feed(address)
    with pytest.raises(UserError, match=r"no file at nothing\.mp4"):
        open_feed("nothing.mp4")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOENT, "no camera 7: found "),
        (errno.EBUSY, "camera 7 is in use by another program"),
        (errno.EACCES, "camera 7 may not be opened"),
        (errno.EINVAL, r"camera 7 cannot be opened \(Invalid argument\)"),
    ],
)
def test_a_camera_that_cannot_be_opened(number: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        av.error.err_check(-number)

    monkeypatch.setattr("av.open", refuse)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match=message) as error:
        open_feed(7)
    assert error.value.hint


def test_a_cable_that_is_pulled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device as FFmpeg opens it, which fails as one does that is unplugged."""
    opened: list[tuple[str, object]] = []

    def open_device(name: str, **options: object) -> object:
        opened.append((name, options["options"]))
        container = real_open(str(sample_video()))

        class Unplugged:
            streams, format = container.streams, container.format

            def demux(self, stream: object) -> Iterator[object]:
                for number, packet in enumerate(container.demux(stream)):
                    if number == 10:
                        av.error.err_check(-errno.ENODEV)
                    yield packet

            def close(self) -> None:
                container.close()

        return Unplugged()

    real_open = av.open
    monkeypatch.setattr("av.open", open_device)
    monkeypatch.setattr(sys, "platform", "linux")
    feed = open_feed(2, fps=30, size=(640, 480))
    assert opened == [("/dev/video2", {"framerate": "30", "video_size": "640x480"})]
    came: list[float] = []
    with pytest.raises(UserError, match=r"camera 2 was lost \(No such device\)"):
        came.extend(frame.time_s for frame in feed)
    assert len(came) > 3
    assert came == sorted(came)
