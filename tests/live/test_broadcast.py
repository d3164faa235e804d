"""What other programs are told, and who may listen."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from filming import frame, pieces

from repose.errors import UserError
from repose.live import JsonServer, OscSender
from repose.live.broadcast import messages, parse_address

websockets = pytest.importorskip("websockets.sync.client")
InvalidStatus = pytest.importorskip("websockets.exceptions").InvalidStatus


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def server() -> Iterator[JsonServer]:
    with closing(JsonServer(f"127.0.0.1:{free_port()}", ["http://localhost:3000"])) as server:
        yield server


def receive(client: Any, count: int) -> list[dict[str, Any]]:
    return [json.loads(client.recv(timeout=30)) for _ in range(count)]


def until_connected(server: JsonServer, count: int) -> None:
    end = time.monotonic() + 30
    while len(server._clients) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_everybody_who_is_connected_is_told_what_became_final(server: JsonServer) -> None:
    first, second, *_ = pieces()
    other = pieces(2, track_id=5)[0]
    with websockets.connect(server.url) as early:
        until_connected(server, 1)
        server.take(frame(first, other))
        about, zero, one = receive(early, 3)
        with websockets.connect(server.url) as late:
            (again,) = receive(late, 1)
            assert again == about
            until_connected(server, 2)
            server.take(frame(second))
            assert receive(late, 2) == receive(early, 2)
    assert about["type"] == "about"
    assert about["joints"][6] == "left_ankle"
    assert about["parents"][6] == "left_knee"
    assert (about["axes"], about["units"]["joints"]) == ("x right, y down, z forward", "m")
    assert (zero["type"], zero["frame"], one["frame"]) == ("poses", 0, 1)
    assert zero["time_s"] == 0
    assert one["taken_unix_s"] - zero["taken_unix_s"] == pytest.approx(1 / 29.5, abs=1e-3)
    assert [person["track_id"] for person in one["people"]] == [0, 5]
    person = one["people"][0]
    np.testing.assert_allclose(person["joints_m"], first.joints_m[1], atol=1e-4)
    assert person["seen"] == first.seen[1].tolist()
    assert person["coordinates"] == "camera"
    assert person["deviation_m"] is None


def test_pages_from_elsewhere_are_refused(server: JsonServer) -> None:
    def connect(origin: str | None, address: str = server.url) -> None:
        port = int(server.url.rpartition(":")[2])
        with websockets.connect(address, origin=origin, sock=socket.create_connection(("127.0.0.1", port))):
            pass

    own = server.url.replace("ws://", "http://")
    connect(None)
    connect(own)
    connect("http://localhost:3000")
    foreign = own.replace("127.0.0.1", "evil.net")
    for origin in ("https://example.com", "null", "http://localhost:3001", foreign):
        with pytest.raises(InvalidStatus) as refused:
            connect(origin)
        assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus):  # a foreign page whose own name leads here
        connect(foreign, foreign.replace("http", "ws"))


def test_what_cannot_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"cannot listen at {address} "):
            JsonServer(address)
    for wrong in ("9000", "localhost", "localhost:x", "localhost:0", "localhost:99999"):
        with pytest.raises(UserError, match="expected HOST:PORT"):
            parse_address(wrong)
    assert parse_address("[::1]:9000") == ("::1", 9000)
    monkeypatch.setitem(sys.modules, "pythonosc.udp_client", None)
    with pytest.raises(UserError, match="python-osc, which is not installed"):
        OscSender("127.0.0.1:9000")


def test_a_reader_that_does_not_read_costs_no_memory(server: JsonServer) -> None:
    out = frame(*pieces())
    end = time.monotonic() + 60
    with websockets.connect(server.url) as client:
        until_connected(server, 1)
        while server.missed == 0:  # the system itself holds some 10 MB
            server.take(out)
            time.sleep(0.01)
            assert time.monotonic() < end
        assert receive(client, 1)[0]["type"] == "about"


def test_osc_has_a_bundle_for_each_frame_and_person() -> None:
    pytest.importorskip("pythonosc")
    from pythonosc.osc_bundle import OscBundle

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.bind(("127.0.0.1", 0))
        program.settimeout(30)
        first, other = pieces(2)[0], pieces(2, track_id=5)[0]
        with closing(OscSender(f"127.0.0.1:{program.getsockname()[1]}")) as sender:
            sender.take(frame(first, other))
        bundles = [[(m.address, m.params) for m in OscBundle(program.recv(65_536))] for _ in range(4)]
    assert [bundle[0] for bundle in bundles] == [
        ("/repose/0/frame", [0, 0.0, "camera"]),
        ("/repose/5/frame", [0, 0.0, "camera"]),
        ("/repose/0/frame", [1, pytest.approx(1 / 29.5, abs=1e-3), "camera"]),
        ("/repose/5/frame", [1, pytest.approx(1 / 29.5, abs=1e-3), "camera"]),
    ]
    assert len(bundles[2]) == 18
    address, (*place_m, seen, deviation_m) = bundles[2][1 + 6]
    assert address == "/repose/0/left_ankle"
    assert place_m == pytest.approx(first.joints_m[1, 6].tolist(), abs=1e-4)
    assert (seen, deviation_m) == (int(first.seen[1, 6]), -1.0)


def test_frames_are_told_in_order_whoever_came_first() -> None:
    late, early = pieces(4)[1], pieces(4, track_id=1)[0]
    assert [message["frame"] for message in messages(frame(late, early))] == [0, 1, 2, 3]
