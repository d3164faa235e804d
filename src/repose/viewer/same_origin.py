"""Which browsers' connections are answered: those of this server's own pages, and of pages that were named.

A browser lets any page of the web connect to a server on this machine and read what it sends, as long as the
server does not look at where the page is from.
"""

import http
import re
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from websockets.http11 import Request, Response

Answer = Callable[[Any, Request], Response | None]


def refuse_strangers(answer: Answer | None = None, origins: Collection[str] = ()) -> Answer:
    """Wrap a server's `process_request`: pages of other origins than its own and `origins` get 403.

    A program that is no browser sends no origin, and is let in. A host's name other than this machine's own
    is refused as well: a foreign page can have its own name lead here.
    """

    def process(connection: Any, request: Request) -> Response | None:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        own = origin is None or urlsplit(origin).netloc == host
        if origin not in origins and not (own and _is_here(host)):
            return connection.respond(
                http.HTTPStatus.FORBIDDEN,
                f"Pages of {origin or host} may not read this; --origin of `repose live` allows one.\n",
            )
        return answer(connection, request) if answer else None

    return process


def _is_here(host: str) -> bool:
    """Whether a host is an address, or this machine's own name."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    if name in ("", "localhost", socket.gethostname().lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
