"""What the front needs of the command line and of QuickFIX: addresses, connections, socket options, why there is no answer."""

import argparse
import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from fixgw.process import socket_address

# with less than this on the disk, it is the disk
ENOUGH_BYTES: Final = 1 << 20


# why QuickFIX has said nothing to a Logon, as far as the front can see; its log shows 120 characters of a value
CLOSED: Final = "the gateway closed without an answer, see its log"
UNREAD: Final = "the gateway has not read it: it hangs or is overloaded"
SILENT: Final = "no answer: the gateway's log has 'Message ... Rejected' (dictionary) or STORE_FAILED (disk); or it is slow"


def unanswered(folder: Path, seen: str) -> str:
    """Why there is no answer to a Logon: by the room on the disk of `folder`, else what was `seen`."""
    with contextlib.suppress(OSError):
        found = os.statvfs(folder)
        free = found.f_bavail * found.f_frsize
        if free < ENOUGH_BYTES:
            return f"the disk is full ({free} bytes free): an answer that cannot be stored is not sent"
    return seen


def address(text: str) -> tuple[str, int]:
    """HOST:PORT of the command line; an IPv6 host may stand in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}, expected HOST:PORT")
    return host.strip("[]"), int(port)


# QuickFIX takes every peer for an IPv4 one (sockaddr_in), tells its address in its log and admits loopback only: the name of our
# end of a Unix connection (abstract, hence the first zero) has 127.0.0.1 where it looks for it
_SEEN_AS_LOOPBACK: Final = b"\0f" + socket.inet_aton("127.0.0.1") + b"fixgw-front-"
# of QuickFIX: a Unix socket, or a host and port
Backend = Path | tuple[str, int]
P = TypeVar("P", bound=asyncio.Protocol)


def backend_address(text: str) -> Backend:
    """A path (it has a slash in it) or HOST:PORT of the command line."""
    return Path(text) if "/" in text else address(text)


def unix_socket() -> socket.socket:
    """One that QuickFIX admits when it is connected."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(_SEEN_AS_LOOPBACK + secrets.token_hex(8).encode())
    except OSError:
        sock.close()
        raise
    return sock


async def connect(loop: asyncio.AbstractEventLoop, backend: Backend, protocol: Callable[[], P]) -> P:
    """A new connection to QuickFIX. Raises OSError."""
    if isinstance(backend, Path):
        sock = unix_socket()
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, socket_address(backend))
            return (await loop.create_unix_connection(protocol, sock=sock))[1]
        except BaseException:
            sock.close()
            raise
    return (await loop.create_connection(protocol, *backend))[1]


def tune(transport: asyncio.Transport) -> None:
    """No delay, and a peer that is gone is noticed within a minute."""
    sock = transport.get_extra_info("socket")
    if sock.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):  # the peer may already be gone
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
