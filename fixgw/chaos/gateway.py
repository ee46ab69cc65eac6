"""The gateway process for chaos runs: fixgw.app with traps on the order path, and a planted bug if one is asked for.

Started by the supervisor in place of fixgw.app when FIXGW_GATEWAY_MODULE names it (supervisor/plan.py), which only chaos
runs set. FIXGW_CHAOS_PLANT names the bug (plants.py). Without an armed trap and without a plant it does what fixgw.app does.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .. import app
from ..config import Config
from ..core import commands as c
from ..core.codec import Record
from ..fix.session_link import SessionLink
from ..venues import gateway_link
from .plants import PLANTS
from .traps import TRAP_FILE, Trap, spring

PLANT_ENV = "FIXGW_CHAOS_PLANT"


class TrappedGateway(app.Gateway):
    """Every step of the order path comes by a trap. Where a method is replaced on an object: the class is the product's
    and knows nothing of traps, on purpose."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.trap = Trap(self.paths.run / TRAP_FILE)
        plant = os.environ.get(PLANT_ENV, "")
        if plant:
            PLANTS[plant](self, self.trap)
        self._trap_journal()
        self._trap_links()
        _trap_reports(self.trap)
        self.trap.start()

    def submit(self, command: c.Command, reply: Callable[[], object] | None = None, more: bool = False) -> None:
        if isinstance(command, c.NewOrder | c.CancelOrder | c.ReplaceOrder):
            self.trap.hit("received")
        elif isinstance(command, c.Delivered):
            self.trap.hit("cursor")
        super().submit(command, reply, more)

    def _trap_journal(self) -> None:
        trap, journal, disk = self.trap, self.journal, self.journal._disk
        commit, pwrite, fdatasync = journal.commit, disk.pwrite, disk.fdatasync

        def trapped_commit() -> int:
            trap.hit("decided")
            seq = commit()
            trap.hit("synced")
            return seq

        def trapped_pwrite(fd: int, data: bytes | memoryview, offset: int) -> int:
            if trap.due("torn"):
                pwrite(fd, data[: len(data) // 2], offset)
                spring()
            return pwrite(fd, data, offset)

        def trapped_fdatasync(fd: int) -> None:
            trap.hit("written")
            fdatasync(fd)

        _put(journal, "commit", trapped_commit)
        _put(disk, "pwrite", trapped_pwrite)
        _put(disk, "fdatasync", trapped_fdatasync)

    def _trap_links(self) -> None:
        trap, links = self.trap, self.links
        submit = links._submit

        def answered(words: Sequence[c.Command]) -> None:
            if not all(isinstance(word, c.BalancesReport) for word in words):
                trap.hit("answered")
            submit(words)

        def queued(record: Record) -> None:
            trap.hit("queued")

        _put(links, "_submit", answered)
        self.engine.on_durable.insert(1, queued)
        start = gateway_link._Link.__init__

        def trapped_init(link: Any, sock: socket.socket, hello: Any) -> None:
            start(link, sock, hello)
            link.sock, link.direct = _TrappedSocket(sock, trap), _TrappedSocket(link.direct, trap)

        _put(gateway_link._Link, "__init__", trapped_init)


class _TrappedSocket:
    """A link's view of a venue host's socket."""

    def __init__(self, sock: socket.socket, trap: Trap) -> None:
        self._sock = sock
        self._trap = trap

    def sendall(self, data: bytes) -> None:
        self._sock.sendall(data)
        self._trap.hit("placed")

    def send(self, data: bytes) -> int:
        sent = self._sock.send(data)
        self._trap.hit("placed")
        return sent

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def close(self) -> None:
        self._sock.close()


def _trap_reports(trap: Trap) -> None:
    send = SessionLink.send

    def trapped(link: SessionLink, message: Any) -> bool:
        trap.hit("handing")
        done = send(link, message)
        trap.hit("handed")
        return done

    _put(SessionLink, "send", trapped)


def _put(owner: object, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a method; it must be there, so that a change of the product's names breaks the run and not the test."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner!r} has no {name}: the trap must follow the product's code")
    setattr(owner, name, wrapper)


def main() -> int:
    """fixgw.app's, with the other gateway."""
    setattr(app, "Gateway", TrappedGateway)  # noqa: B010
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
