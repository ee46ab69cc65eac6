"""Frames of the link between gateway and venue host, as they come out of a stream of bytes at both ends."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
import pytest

from fixgw.venues import wire
from fixgw.venues.gateway_link import _Frames
from fixgw.venues.host_link import HostLink
from fixgw.venues.wire import CancelChild, FrameTooLarge, Heartbeat, frame, take_frames, to_host_decoder

CANCELS = [CancelChild(venue_cl_ord_id=f"c{number}", symbol="BTC/USDT") for number in range(3)]
TOO_LONG = (wire.MAX_FRAME + 1).to_bytes(4, "big")
NONSENSE = b"\x00\x00\x00\x02\x91\xff"


def taken(data: bytes, step: int) -> tuple[list[Any], bytes]:
    """What comes out when the bytes come in pieces of `step`; and what waits for more."""
    buffer, found = bytearray(), []  # type: tuple[bytearray, list[Any]]
    for at in range(0, len(data), step):
        buffer += data[at : at + step]
        take_frames(buffer, to_host_decoder.decode, found)
    return found, bytes(buffer)


@pytest.mark.parametrize("step", [1, 3, 4, 5, 10_000])
@pytest.mark.parametrize("rest", [b"", b"\x00\x00", frame(CANCELS[0])[:-1]], ids=["whole", "half a length", "half a body"])
def test_frames_come_out_whole_and_in_order_however_they_come_in(step: int, rest: bytes) -> None:
    assert taken(b"".join(map(frame, CANCELS)) + rest, step) == (CANCELS, rest)


def test_the_largest_frame_passes_and_one_more_byte_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME", len(frame(CANCELS[0])) - 4)
    assert taken(frame(CANCELS[0]), 10_000) == ([CANCELS[0]], b"")
    larger = CancelChild(venue_cl_ord_id="c10", symbol="BTC/USDT")
    with pytest.raises(FrameTooLarge):
        frame(larger)
    monkeypatch.undo()
    data = frame(larger)
    monkeypatch.setattr(wire, "MAX_FRAME", len(data) - 5)
    with pytest.raises(ValueError, match=f"frame of {len(data) - 4} bytes; expected at most {len(data) - 5}"):
        taken(data, 10_000)


@pytest.mark.parametrize(("bad", "why"), [(TOO_LONG, "expected at most"), (NONSENSE, "Expected")], ids=["too long", "nonsense"])
def test_the_gateway_takes_what_came_before_a_bad_frame(bad: bytes, why: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        beat = Heartbeat(ts_ns=1)
        theirs.sendall(frame(beat) + bad)
        frames = _Frames(ours)
        assert frames.read() == [beat]
        for _ in range(2):  # and never goes on behind it
            with pytest.raises((ValueError, msgspec.MsgspecError), match=why):
                frames.read()


class Wire:
    """The transport of a host's link."""

    aborted = False

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is to be said")

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(("bad", "why"), [(TOO_LONG, "expected at most"), (NONSENSE, "Expected")], ids=["too long", "nonsense"])
def test_a_host_takes_what_came_before_a_bad_frame_and_ends_the_link(bad: bytes, why: str) -> None:
    async def run() -> None:
        received: list[wire.ToHost] = []
        reasons: list[str] = []
        link, transport = HostLink(received.append, reasons.append), Wire()
        link.connection_made(transport)  # type: ignore[arg-type]
        link.data_received(frame(CANCELS[0]) + frame(Heartbeat(ts_ns=1)) + frame(CANCELS[1]) + bad)
        link.connection_lost(None)
        assert received == CANCELS[:2] and transport.aborted
        assert len(reasons) == 1 and reasons[0].startswith("the gateway sent nonsense: ") and why in reasons[0]

    asyncio.run(run())
