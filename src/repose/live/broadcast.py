"""What other programs are told of the people, as it becomes known: JSON over WebSocket, or OSC.

The messages are described in docs/live.md.
"""

import asyncio
import json
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import numpy as np

from repose.errors import UserError, expected
from repose.live.stages import Frame
from repose.pose import Pose3D

FORMAT, VERSION = "repose-live", 1
_AXES = "x right, y down, z forward"
_SLOW_BYTES = 1 << 18
"""A reader for whom so much is waiting misses messages."""
_ADDRESS = "Give HOST:PORT, such as 127.0.0.1:9000."


def describe(pose: Pose3D) -> dict[str, Any]:
    """Say what holds for every message: joints, units, axes."""
    skeleton = pose.skeleton
    return {
        "format": FORMAT,
        "version": VERSION,
        "type": "about",
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "parents": [skeleton.joints[parent] if parent >= 0 else None for parent in skeleton.parents],
        "units": {"joints": "m", "deviation": "m", "time": "s"},
        "axes": _AXES,
        "fps": pose.fps,
        "scale": pose.scale,
        "model": pose.model,
        "image_size": pose.image_size,
        "intrinsics_px": pose.intrinsics_px,
    }


def messages(frame: Frame) -> list[dict[str, Any]]:
    """One message for each frame that became final, in their order."""
    taken_unix_s = time.time() - time.monotonic() + frame.taken_s
    people: dict[int, list[tuple[float, dict[str, Any]]]] = {}
    for pose in frame.poses:
        for row, number in enumerate(pose.frames.tolist()):
            person = {
                "track_id": pose.track_id,
                "coordinates": pose.coordinates,
                "joints_m": _rounded(pose.joints_m[row]),
                "seen": pose.seen[row].tolist(),
                "deviation_m": None if pose.deviation_m is None else _rounded(pose.deviation_m[row]),
            }
            people.setdefault(number, []).append((float(pose.times_s[row]), person))
    return [
        {
            "type": "poses",
            "frame": number,
            "time_s": round(here[0][0], 4),
            "taken_unix_s": round(taken_unix_s + here[0][0] - frame.time_s, 4),
            "people": [person for _, person in here],
        }
        for number, here in sorted(people.items())
    ]


def _rounded(values: np.ndarray) -> Any:
    return np.round(values.astype(np.float64), 4).tolist()


def parse_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT; raises UserError for anything else."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65_536):
        expected("address", "HOST:PORT", repr(text), _ADDRESS)
    return host.strip("[]"), int(port)


class JsonServer:
    """A sink that sends JSON to everybody who is connected by WebSocket."""

    def __init__(self, address: str, origins: Collection[str] = ()) -> None:
        """Listen at HOST:PORT. Web pages of others than this server need their origin named.

        Raises UserError where the port is taken, and without the package websockets.
        """
        host, port = parse_address(address)
        try:
            from websockets.asyncio.server import serve

            from repose.viewer.same_origin import refuse_strangers
        except ImportError:
            raise UserError(
                "JSON over WebSocket needs websockets, which is not installed", "pip install 'repose3d[live]'"
            ) from None
        self.url = f"ws://{host}:{port}"
        self.missed = 0
        self._clients: set[Any] = set()
        self._about: str | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        started: threading.Event = threading.Event()
        failed: list[OSError] = []

        async def run() -> None:
            try:
                refuse = refuse_strangers(None, origins)
                async with serve(self._serve, host, port, process_request=refuse, close_timeout=1.0):
                    started.set()
                    await self._stop.wait()
            except OSError as error:
                failed.append(error)
                started.set()

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(run(),), daemon=True)
        self._thread.start()
        started.wait()
        if failed:
            self.close()
            reason = failed[0].strerror or str(failed[0])
            raise UserError(f"cannot listen at {address} ({reason})", "Choose another port.")

    async def _serve(self, client: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        self._clients.add(client)
        with suppress(ConnectionClosed):
            if self._about:
                await client.send(self._about)
            async for _ in client:  # nothing that is said to us matters
                pass
        self._clients.discard(client)

    def take(self, frame: Frame) -> None:
        """Send a message for each frame that became final; a reader that is too slow misses some."""
        if not frame.poses:
            return
        texts = []
        if self._about is None:
            self._about = json.dumps(describe(frame.poses[0]))
            texts.append(self._about)
        texts += [json.dumps(message, separators=(",", ":")) for message in messages(frame)]
        self._loop.call_soon_threadsafe(self._send, texts)

    def _send(self, texts: list[str]) -> None:
        from websockets.asyncio.server import broadcast

        ready = {c for c in self._clients if c.transport.get_write_buffer_size() < _SLOW_BYTES}
        self.missed += (len(self._clients) - len(ready)) * len(texts)
        for text in texts:
            broadcast(ready, text)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self._loop.close()


class OscSender:
    """A sink that sends OSC over UDP: a bundle for each frame and person."""

    def __init__(self, address: str) -> None:
        """Raise UserError for an address that is none, and without the package python-osc."""
        host, port = parse_address(address)
        try:
            from pythonosc.udp_client import UDPClient
        except ImportError:
            raise UserError(
                "OSC needs python-osc, which is not installed", "pip install 'repose3d[live]'"
            ) from None
        try:
            self._client: Any = UDPClient(host, port)
        except OSError as error:
            raise UserError(f"cannot send to {address} ({error.strerror})", _ADDRESS) from None

    def take(self, frame: Frame) -> None:
        """Send what became final; what cannot be delivered is lost, as is UDP's way."""
        if not frame.poses:
            return
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder

        joints = frame.poses[0].skeleton.joints
        for message in messages(frame):
            for person in message["people"]:
                bundle = OscBundleBuilder(IMMEDIATELY)
                place = f"/repose/{person['track_id']}"
                bundle.add_content(
                    _osc(f"{place}/frame", message["frame"], message["time_s"], person["coordinates"])
                )
                deviations = person["deviation_m"] or [-1.0] * len(joints)
                rows = zip(joints, person["joints_m"], person["seen"], deviations, strict=True)
                for joint, place_m, seen, deviation_m in rows:
                    values = [float(value) for value in place_m]
                    bundle.add_content(_osc(f"{place}/{joint}", *values, int(seen), float(deviation_m)))
                try:
                    self._client.send(bundle.build())
                except OSError:  # nobody listens
                    continue

    def close(self) -> None:
        self._client._sock.close()


def _osc(address: str, *values: Any) -> Any:
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build()
