"""The front: the process that faces FIX clients and forwards only what QuickFIX may see.

    client --TCP--> front --Unix socket--> QuickFIX ThreadedSocketAcceptor

QuickFIX trusts whoever reaches it: it keeps unlimited bytes for a frame, resets a session's numbers before any
callback can refuse, and blocks on a client that does not read. So the front stands before it. Here is what all
connections share, and the process; one connection, its phases and its rules: front_connection.py.

The listening socket stays up while QuickFIX is away. TLS would be an ssl context at `create_server` in serve(),
authentication a check in front_logon.judge_logon.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import uvloop

from fixgw.fix.front_connection import ClientSide, Phase, Slot
from fixgw.fix.front_log import LineLog
from fixgw.fix.front_logon import ConfigError, FrontConfig, SessionKey, load_config
from fixgw.fix.front_start import Backend, address, backend_address
from fixgw.process import allow_files, die_with_parent
from fixgw.ready import write_ready

BEAT_S = 1.0


class Front:
    """All connections of one front process. Used from its event loop only."""

    def __init__(self, config: FrontConfig, backend: Backend, log: LineLog) -> None:
        self.config = config
        self.sessions = config.by_key()
        self.backend = backend
        self.log = log
        self.loop = asyncio.get_running_loop()
        self.connections: set[ClientSide] = set()
        # that wait for their Logon, by address, the oldest first
        self.waiting: dict[str, dict[ClientSide, None]] = {}
        self.slots: dict[SessionKey, Slot] = {}
        self.stopping = False
        # on the disk whose room is looked at when QuickFIX does not answer
        self.folder = Path()

    def make_room(self, address: str) -> bool:
        """For one more connection from there. Where there is none, the oldest that waits for its Logon has to go: one of the same
        address, if that has as many as it may, else one of the address that has most. So silent connections keep nobody out,
        and those of others not even for a moment. False: all are logged on."""
        config, own = self.config, self.waiting.get(address, {})
        if len(own) >= config.max_prelogon_per_address:
            next(iter(own)).abort("displaced", detail=f"{len(own)} connections of {address} wait for their Logon, and one more")
        elif len(self.connections) >= config.max_connections:
            if not self.waiting:
                return False
            crowd = max(self.waiting.values(), key=len)
            next(iter(crowd)).abort("displaced", detail=f"{len(self.connections)} connections, and one more")
        return True

    def reload(self, path: Path) -> None:
        """Reads the sessions file again; a bad file changes nothing. Sessions that are gone or disabled are closed."""
        try:
            config = load_config(path)
        except ConfigError as error:
            self.log.warn("reload_refused", error=error)
            return
        self.config, self.sessions = config, config.by_key()
        for connection in list(self.connections):
            session = connection.session
            if session is not None and not (session.key in self.sessions and self.sessions[session.key].enabled):
                connection.close("session_disabled")
        self.log.info("reloaded", sessions=len(config.sessions))

    async def stop(self, at_once: asyncio.Event) -> None:
        """Lets nobody in any more. Who is logged on stays until the gateway has said goodbye to it, for at most goodbye_s or
        until `at_once`; then what is on its way has drain_s."""
        self.stopping = True
        for connection in list(self.connections):
            if connection.phase is not Phase.OPEN:
                connection.close("front_stops")
        deadline = self.loop.time() + self.config.goodbye_s
        while any(c.phase is Phase.OPEN for c in self.connections) and self.loop.time() < deadline:
            if at_once.is_set():
                break
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.close("front_stops")
        deadline = self.loop.time() + self.config.drain_s + 0.5
        while (self.connections or self.slots) and self.loop.time() < deadline:  # noqa: ASYNC110  (once, bounded)
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort("front_stops")


async def _beat(ready_file: Path, told: dict[str, object]) -> None:
    """The ready file's time tells `fixgw status` that this loop turns (admin/processes.py); one that was deleted comes back."""
    while True:
        with contextlib.suppress(OSError):
            try:
                os.utime(ready_file)
            except FileNotFoundError:
                write_ready(ready_file, told)
        await asyncio.sleep(BEAT_S)


async def serve(
    listen: tuple[str, int], backend: Backend, sessions: Path, ready_file: Path | None, log: LineLog
) -> None:
    """Runs until SIGTERM or SIGINT (see Front.stop; a second one ends it at once). Raises ConfigError, OSError (the address
    cannot be listened on)."""
    config = load_config(sessions)
    allow_files()
    front = Front(config, backend, log)
    front.folder = sessions.parent
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        front.loop.add_signal_handler(number, stop.set)
    front.loop.add_signal_handler(signal.SIGHUP, front.reload, sessions)
    server = await front.loop.create_server(lambda: ClientSide(front), *listen, backlog=256)
    host, port = server.sockets[0].getsockname()[:2]
    beat = None
    if ready_file is not None:
        told = {"host": host, "port": port, "pid": os.getpid()}
        write_ready(ready_file, told)
        beat = front.loop.create_task(_beat(ready_file, told))
    log.info("ready", host=host, port=port, backend=backend, sessions=len(config.sessions))
    await stop.wait()
    if beat is not None:
        beat.cancel()
    stop.clear()
    server.close()
    await front.stop(stop)
    log.info("stopped")


def main(argv: list[str] | None = None) -> int:
    """python -m fixgw.fix.front: 0 after SIGTERM, 1 when it cannot start."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m fixgw.fix.front", description="FIX front process")
    parser.add_argument("--listen", type=address, required=True, metavar="HOST:PORT")
    parser.add_argument("--backend", type=backend_address, required=True, metavar="PATH|HOST:PORT")
    parser.add_argument("--sessions", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--ready-file", type=Path, metavar="FILE")
    parser.add_argument("--parent", type=int, default=parent, metavar="PID", help="pid of the process to end with")
    options = parser.parse_args(argv)
    die_with_parent(parent=options.parent)
    log = LineLog()
    try:
        uvloop.run(serve(options.listen, options.backend, options.sessions, options.ready_file, log))
    except (ConfigError, OSError) as error:
        log.warn("cannot_start", error=error)
        return 1
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
