"""Which video may be shown with a result.

A result names the video that it was made from, but its file may come from anybody, and a page into which
the video is copied is sent on. So the name is believed where the video lies beside the result, and where this
user made the result here, which a signature proves: its key is made on first use and stays on the machine.
"""

import hmac
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_bytes
from typing import Any

from repose.errors import UserError

_KEY_BYTES = 32


def note_video(path: Path) -> dict[str, str]:
    """Return the entries of a result's record for the video that it is made from.

    `video` is its absolute path; `video_signature` is left out where no key can be kept.
    """
    path = path.resolve()
    size = str(path.stat().st_size)
    key = _key()
    return {"video": str(path)} | ({"video_signature": f"{size} {_sign(key, path, size)}"} if key else {})


def find_video(
    record: Mapping[str, Any], folder: Path | None, source: str | Path | None = None
) -> tuple[Path | None, str | None]:
    """Find the video to show with a result, or say why it is not shown; (None, None) if there never was one.

    `source`, the user's own word, is believed. Else the video is shown that bears the name noted in `record`
    and lies in the result's `folder` or beside it, as a file and not as a link, or the one at the place noted
    there if this user made the result from it on this machine, and it still has its size. No other path is
    looked at, let alone opened.

    Raises UserError for a `source` that is not there.
    """
    if source is not None:
        if not Path(source).is_file():
            raise UserError(f"{source}: no such video", "Check the path after --source.")
        return Path(source), None
    noted = record.get("video")
    if noted is None:
        return None, None
    there, why = _made_here(str(noted), str(record.get("video_signature")))
    if there:
        return Path(noted), None
    name = re.split(r"[/\\]", str(noted))[-1]
    places = [] if folder is None or name in ("", ".", "..") else [folder, folder.resolve().parent]
    for candidate in (place / name for place in places):
        with suppress(OSError):  # a name that no file can have
            if candidate.is_file() and not candidate.is_symlink():
                return candidate, None
    return None, why


def _made_here(noted: str, signature: str) -> tuple[bool, str]:
    """Whether this user made a result here from the video at `noted`, which is still there; or why not."""
    size, _, mark = signature.partition(" ")
    key, path = _key(), Path(noted)
    # The signature comes first: a path that somebody else chose is not even asked for its size.
    if not key or not hmac.compare_digest(mark.encode(), _sign(key, path, size).encode()):
        return False, f"its video {noted} is not beside it, and it was not made on this machine by this user"
    try:
        found = path.stat().st_size
    except OSError:
        return False, f"its video is no longer at {noted}"
    return found == int(size), f"the file at {noted} is no longer its video: the size differs"


def _sign(key: bytes, path: Path, size: str) -> str:
    message = b"\0".join([os.fsencode(path), size.encode("utf-8", "replace")])
    return hmac.new(key, message, "sha256").hexdigest()


def _key() -> bytes:
    """Return the user's key; b"" where none can be kept."""
    with suppress(OSError, RuntimeError):
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        file = Path(state) / "repose" / "video-key"
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as made:
                made.write(token_bytes(_KEY_BYTES))
        key = file.read_bytes()
        return key if len(key) == _KEY_BYTES else b""
    return b""
