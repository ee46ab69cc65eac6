"""One client's connection through the front: the client's side, and the side of QuickFIX that belongs to it.

It lives through these phases:

    WAITING    until one complete Logon (deadline, small frame cap); no byte has reached QuickFIX
    CONNECTING the Logon was let in and holds its session's slot; the connection to QuickFIX is being made
    OPEN       bytes go both ways; client -> QuickFIX cut at frame borders and capped, QuickFIX -> client untouched
    CLOSING    one side is gone: what it had sent is still delivered to the other, for at most drain_s
    CLOSED

Rules: one connection per session (a slot is free again only when QuickFIX itself has let go of the old connection); a
second Logon of a live session is closed, the live one notices nothing; one in the live connection itself is judged once
more (front_relogon.py); while a client leaves more than write_cap bytes unread QuickFIX has to wait with that session, and
a client that does not read is dropped (front_pace.py).
"""

import asyncio
import contextlib
import enum
import time
from typing import TYPE_CHECKING, Final, cast

from fixgw.fix.frames import FrameError, FrameSplitter, first_frame_end, garbled
from fixgw.fix.front_data import DataFields, data_fault, data_fields
from fixgw.fix.front_logon import FrontSession, Logon, LogonRefused, SessionKey, judge_logon
from fixgw.fix.front_pace import ReaderWatch, unacknowledged
from fixgw.fix.front_refusal import logout, refused_logon, refused_message
from fixgw.fix.front_relogon import LOGON, relogon
from fixgw.fix.front_start import CLOSED, SILENT, UNREAD, connect, tune, unanswered

if TYPE_CHECKING:
    from fixgw.fix.front import Front

# QuickFIX closes its socket a moment before it frees the session; a Logon in between would wait a whole second there.
_BACKEND_LETS_GO_S: Final = 0.02
_LOGOUT: Final = b"\x0135=5\x01"
# QuickFIX waits 2 s for the answer to its Logout and takes all that comes meanwhile; what is left out here is asked for at the
# next Logon
_AFTER_GOODBYE: Final = 256 * 1024
# A client that reconnects at once: its new Logon may be read a moment before the end of its old connection.
_SAME_MOMENT_S: Final = 0.1


class Phase(enum.Enum):
    WAITING = 1
    CONNECTING = 2
    OPEN = 3
    CLOSING = 4
    CLOSED = 5


class Slot:
    """The right of one connection to be its session's only one; freed when QuickFIX has let go."""

    def __init__(self, owner: "ClientSide") -> None:
        self.owner = owner
        self.freed = asyncio.Event()


class ClientSide(asyncio.Protocol):
    """The connection of one client, in one of the phases above."""

    def __init__(self, front: "Front") -> None:
        self.front = front
        self.phase = Phase.WAITING
        self.session: FrontSession | None = None
        self.peer = ""
        self.address = ""
        self.transport: asyncio.Transport
        self.backend: BackendSide | None = None
        self._slot: Slot | None = None
        self._judged = 0  # so many bytes of it are the Logon that was let in
        self._early = bytearray()  # what came before the backend is connected: at most cap + one read
        self._splitter = FrameSplitter(front.config.frame_cap)
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        # its Logon is refused: nothing that it sends goes any further
        self._refused = False
        self._since = 0.0
        self._written = 0
        self._last_bytes = b""
        # QuickFIX has sent a Logout; so many bytes have come since
        self._said_goodbye = False
        self._since_goodbye = 0
        self._watch: ReaderWatch | None = None

    # -- events from the client's socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        front, config = self.front, self.front.config
        name = transport.get_extra_info("peername") or ("?", 0)
        self.address, self.peer = str(name[0]), f"{name[0]}:{name[1]}"
        self._since = front.loop.time()
        refused = "front_stops" if front.stopping else "" if front.make_room(self.address) else "max_connections"
        front.connections.add(self)
        front.waiting.setdefault(self.address, {})[self] = None
        if refused:
            self.close(refused)
            return
        tune(self.transport)
        self.transport.set_write_buffer_limits(high=config.write_cap, low=config.write_cap // 2)
        self._deadline = front.loop.call_later(config.logon_deadline_s, self._too_late)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._said_goodbye:
            self._since_goodbye += len(data)
            if self._since_goodbye > _AFTER_GOODBYE:
                self.close("flood_after_logout", detail=f"{self._since_goodbye} bytes after our Logout")
                return
        if self.phase is Phase.OPEN:
            assert self.backend is not None
            try:
                for run in self._splitter.feed(data):
                    # bytes, because a memoryview cannot be searched
                    self._pass_on(bytes(run))
            except FrameError as error:
                self.close(error.code, detail=error.detail)
        elif self.phase is Phase.WAITING:
            self._early += data
            self._look_for_logon()
        elif self.phase is Phase.CONNECTING:
            self._early += data  # at most one read is on its way after pause_reading

    def _pass_on(self, run: bytes) -> None:
        """Whole frames to QuickFIX; a Logon among them is judged."""
        if self._refused:
            return
        assert self.backend is not None and self.session is not None
        if LOGON in run:
            front = self.front
            session = front.sessions.get(self.session.key, self.session)
            run, refused = relogon(run, self._splitter, session, front.config)
            if refused is not None:
                self._refused = True
                self._say("logon_refused", "warn", reason=refused.code, **refused.fields)
                front.loop.call_later(front.config.logon_answer_s, self.close, "logon_refused")
        fields = data_fields(self.session.begin_string)
        if fields.maybe.search(run):
            run = self._without_faults(run, fields)
        self.backend.transport.write(run)

    def _without_faults(self, run: bytes, fields: DataFields) -> bytes:
        """What would end QuickFIX (front_data.py) is replaced by what has it answer; where it is garbled besides, QuickFIX
        would pass it over, so it is left out."""
        passed = bytearray()
        for frame in self._splitter.frames_of(run):
            fault = data_fault(frame, fields)
            if fault is None:
                passed += frame
            elif garbled(frame):
                self._splitter.skipped += len(frame)
            else:
                self._say("message_refused", "warn", tag=fault.tag, detail=fault.text)
                passed += refused_message(frame, fault)
        return bytes(passed)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave_waiting()
        self.front.connections.discard(self)
        if self.phase is not Phase.CLOSING:
            self._say("client_gone", "info", error=exc or "")
        self.phase = Phase.CLOSED
        if self._task is not None:
            self._task.cancel()
        if self.backend is not None:
            self.backend.finish()
        else:
            self._free_slot()

    # -- what QuickFIX sends

    def deliver(self, data: bytes) -> None:
        if _LOGOUT in data or _LOGOUT in self._last_bytes + data[: len(_LOGOUT)]:
            self._said_goodbye = True
        self._last_bytes = (data if len(data) >= len(_LOGOUT) else self._last_bytes + data)[-len(_LOGOUT) :]
        self._written += len(data)
        self.transport.write(data)

    def pause_writing(self) -> None:  # more than write_cap is unsent: let TCP slow QuickFIX down
        if self.phase is Phase.OPEN and self.backend is not None:
            self.backend.transport.pause_reading()
            self._watch = ReaderWatch(self.front.config.slow_reader_s, self.front.loop.time(), self._taken())
            self._look_at_reader(self._watch)

    def resume_writing(self) -> None:
        if self._watch is not None:
            self._watch = None
            if self.phase is Phase.OPEN and self.backend is not None:
                self.backend.transport.resume_reading()

    def _taken(self) -> int:
        fd = self.transport.get_extra_info("socket").fileno()
        return self._written - self.transport.get_write_buffer_size() - unacknowledged(fd)

    def _look_at_reader(self, watch: ReaderWatch) -> None:
        if self._watch is not watch or self.phase is not Phase.OPEN:
            return
        if wrong := watch.verdict(self.front.loop.time(), self._taken()):
            self.abort("slow_reader", detail=wrong, unsent=self.transport.get_write_buffer_size())
        else:
            self.front.loop.call_later(self.front.config.slow_reader_s / 8, self._look_at_reader, watch)

    # -- the Logon

    def _look_for_logon(self) -> None:
        config = self.front.config
        try:
            end = first_frame_end(self._early, config.logon_frame_cap)
            if end is None:
                if len(self._early) > config.logon_frame_cap:
                    raise FrameError(
                        "oversize", f"{len(self._early)} bytes and no Logon, at most {config.logon_frame_cap}"
                    )
                return
            logon = judge_logon(bytes(self._early[:end]), self.front.sessions, time.time_ns(), config.max_latency_s)
        except FrameError as error:
            self.close(error.code, detail=error.detail)
            return
        except LogonRefused as refused:
            self._refuse(refused)
            return
        self.session, self._judged = logon.session, end
        self._let_in(logon)

    def _refuse(self, refused: LogonRefused) -> None:
        """Says why to whom it may be told (front_refusal.py), and closes."""
        asker = refused.asker
        if asker is None:
            self.close(refused.code, **refused.fields)
            return
        self.session = asker.session
        if asker.reset:
            self.transport.write(logout(asker.session, refused.text))
            self.close(refused.code, **refused.fields)
            return
        self._say("logon_refused", "warn", reason=refused.code, **refused.fields)
        self._refused = True
        self._early = bytearray(refused_logon(asker, refused.text))
        self._let_in(asker)

    def _let_in(self, logon: Logon) -> None:
        """To QuickFIX, with what is in _early."""
        self._leave_waiting()
        self.phase = Phase.CONNECTING
        self.transport.pause_reading()
        self._task = self.front.loop.create_task(self._connect(logon))

    async def _connect(self, logon: Logon) -> None:
        """Takes the session's slot and the connection to QuickFIX, then lets the bytes flow."""
        front, config, key = self.front, self.front.config, logon.session.key
        for patience_s in (_SAME_MOMENT_S, config.drain_s + 0.5):
            slot = front.slots.get(key)
            if slot is None or (patience_s != _SAME_MOMENT_S and slot.owner.phase is Phase.OPEN):
                break  # free, or truly live; otherwise the predecessor is on its way out: wait for QuickFIX to let go
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(slot.freed.wait(), patience_s)
        if key in front.slots:
            if logon.reset:
                self.transport.write(logout(logon.session, "session is already connected"))
            self.close("already_connected")
            return
        self._slot = front.slots[key] = Slot(self)
        try:
            async with asyncio.timeout(config.backend_timeout_s):
                backend = await connect(front.loop, front.backend, lambda: BackendSide(self))
        except (OSError, TimeoutError) as error:
            self.close("backend_unreachable", error=error or "timeout")
            return
        if self.phase is not Phase.CONNECTING:  # the client went away in the very moment
            backend.finish()
            return
        self.backend = backend
        self.phase = Phase.OPEN
        front.loop.call_later(config.logon_answer_s, self._unanswered)
        early, self._early = bytes(self._early), bytearray()
        if self._refused:
            backend.transport.write(early)
        else:
            self._say("logon_forwarded", "info", reset=logon.reset)
            for run in self._splitter.feed(early[: self._judged]):
                backend.transport.write(run)
            self.data_received(early[self._judged :])
        if self.phase is Phase.OPEN and not backend.full:
            self.transport.resume_reading()

    def _unanswered(self) -> None:
        """To a Logon that the dictionary does not admit QuickFIX says nothing, and keeps the connection for ever. Most of these
        are refused before (front_dictionary.py)."""
        if self.phase is Phase.OPEN and not self._written:
            assert self.backend is not None
            unread = unacknowledged(self.backend.transport.get_extra_info("socket").fileno())
            self.close("logon_not_answered", detail=unanswered(self.front.folder, UNREAD if unread else SILENT))

    def _too_late(self) -> None:
        self.close("logon_deadline", received=len(self._early))

    def _leave_waiting(self) -> None:
        """Called once when the connection stops waiting for its Logon, by whatever way."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.phase is Phase.WAITING:
            of_address = self.front.waiting.get(self.address, {})
            of_address.pop(self, None)
            if not of_address:
                self.front.waiting.pop(self.address, None)

    # -- the end

    def close(self, reason: str, **fields: object) -> None:
        """Closes the client after what is already written to it has gone out, for at most drain_s."""
        if self.phase in (Phase.CLOSING, Phase.CLOSED):
            return
        self._leave_waiting()
        self._say("closed", "warn", reason=reason, **fields)
        self.phase = Phase.CLOSING
        self.transport.close()
        self.front.loop.call_later(self.front.config.drain_s, self.transport.abort)
        if self.backend is not None:
            self.backend.finish()

    def abort(self, reason: str, **fields: object) -> None:
        """Closes the client at once; what it has not read is thrown away (FIX resends it after its next Logon)."""
        if self.phase not in (Phase.CLOSING, Phase.CLOSED):
            self._say("closed", "warn", reason=reason, **fields)
            self._leave_waiting()
        self.phase = Phase.CLOSING
        self.transport.abort()

    def backend_gone(self) -> None:
        """QuickFIX has closed its side: the last bytes (its Logout) still go out."""
        self.close("backend_closed", **({} if self._written else {"detail": unanswered(self.front.folder, CLOSED)}))
        self._free_slot(delay_s=_BACKEND_LETS_GO_S)

    def _free_slot(self, delay_s: float = 0.0) -> None:
        slot, self._slot = self._slot, None
        if slot is None or self.session is None:
            return

        def free(key: SessionKey = self.session.key) -> None:
            self.front.slots.pop(key, None)
            slot.freed.set()

        if delay_s:
            self.front.loop.call_later(delay_s, free)
        else:
            free()

    def _say(self, event: str, level: str, **fields: object) -> None:
        session = self.session.name or "/".join(self.session.key) if self.session is not None else "-"
        counts = {"seconds": round(self.front.loop.time() - self._since, 3), "frames": self._splitter.frames}
        if self._splitter.skipped:
            counts["skipped"] = self._splitter.skipped
        say = self.front.log.info if level == "info" else self.front.log.warn
        say(event, session=session, peer=self.peer, **counts, **fields)


class BackendSide(asyncio.Protocol):
    """The connection to QuickFIX that belongs to one client."""

    def __init__(self, client: ClientSide) -> None:
        self.client = client
        self.transport: asyncio.Transport
        self.full = False
        self._finishing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        tune(self.transport)
        self.transport.set_write_buffer_limits(high=256 * 1024)

    def data_received(self, data: bytes) -> None:
        if self.client.phase is Phase.OPEN:
            self.client.deliver(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.client.backend_gone()

    def pause_writing(self) -> None:  # QuickFIX is busy: let TCP slow the client down
        self.full = True
        if self.client.phase is Phase.OPEN:
            self.client.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full = False
        if self.client.phase is Phase.OPEN:
            self.client.transport.resume_reading()

    def finish(self) -> None:
        """The client is gone: QuickFIX still gets what it had sent, then end of file; forced after drain_s."""
        if self._finishing or self.transport.is_closing():
            return
        self._finishing = True
        self.transport.resume_reading()  # QuickFIX may be waiting for a client that did not read; thrown away
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()
        front = self.client.front
        front.loop.call_later(front.config.drain_s, self.transport.abort)
