"""The link between gateway and venue host: frames on a local Unix socket.

A frame is a 4-byte big-endian length and one msgpack-encoded struct. The gateway listens (`DIR/run/venues.sock`, mode
0600), each host dials, says Hello, and dials again with back-off when the link breaks. Host -> gateway: Hello, the
VenueCommand structs of core/commands.py, BookUpdate, Heartbeat. Gateway -> host: the requests below. The host keeps no
state of its own that matters: after any break the gateway asks for reconciliation.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import msgspec

from ..core import commands as c

PROTOCOL_VERSION = 1
MAX_FRAME = 16 * 1024 * 1024
_T = TypeVar("_T")


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello", kw_only=True):
    """First frame of a host. `account`: the venue account whose keys it holds."""

    venue: str
    account: str
    pid: int
    version: int = PROTOCOL_VERSION
    # what the connector can: "amend", "quote_market", "post_only", "ioc", "fok"
    capabilities: tuple[str, ...] = ()


class BookUpdate(msgspec.Struct, frozen=True, array_like=True, tag="book", kw_only=True):
    """The top of a book or the last trade; conflated by the host (the newest per symbol wins), never journaled."""

    venue: str
    symbol: str
    quote: c.Quote


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag="hb", kw_only=True):
    """Both ways, once a second; a peer that is silent for 5 s is taken for dead. `offset_ns`, of the gateway: its time less the
    machine's steady clock, by which the host stamps (host_clock.py); said before anything else, and as soon as it is set."""

    ts_ns: int
    offset_ns: int | None = None


class PlaceChild(msgspec.Struct, frozen=True, array_like=True, tag="place", kw_only=True):
    """Place one order. Exactly one of qty / cash_qty. `ord_type` "1" market, "2" limit; `tif` "1" GTC, "3" IOC, "4" FOK.

    `expires_ns` (the gateway's time; a host makes it one of host_clock.steady_ns where it reads the frame): after it the host
    must not send it any more but answer ChildReject code "EXPIRED_IN_HOST".
    Answer: ChildAck, ChildReject or ChildAmbiguous(op="place"); trades and ChildDone follow.
    """

    venue_cl_ord_id: str
    symbol: str
    side: str
    ord_type: str
    tif: str
    qty: Decimal | None = None
    cash_qty: Decimal | None = None
    px: Decimal | None = None
    post_only: bool = False
    expires_ns: int = 0


class CancelChild(msgspec.Struct, frozen=True, array_like=True, tag="cancel", kw_only=True):
    """Cancel by our id. Answer: ChildDone, ChildCancelReject or ChildAmbiguous(op="cancel"). A cancel that overtakes the
    answer to its own place waits in the host until that is settled or the venue has shown the order. A place that has not
    left is withdrawn instead: then its ChildReject (not sent) is all that is answered."""

    venue_cl_ord_id: str
    symbol: str
    venue_order_id: str = ""


class AmendChild(msgspec.Struct, frozen=True, array_like=True, tag="amend", kw_only=True):
    """Reduce the quantity of a working order in place, so that it keeps its priority. `qty`: the new total, what is executed
    included. Answer: ChildAmended, ChildAmendReject (it works on as it was) or ChildAmbiguous(op="amend")."""

    venue_cl_ord_id: str
    symbol: str
    qty: Decimal
    venue_order_id: str = ""


class QueryChild(msgspec.Struct, frozen=True, array_like=True, tag="query", kw_only=True):
    """Ask for one order by our id, with its trades. Answer: exactly one ChildQueryResult.

    `side`, `qty`, `sent_ns` (when the order left the gateway), where known, tell a host that never placed the order itself
    which trades of unknown origin could be of it. `told_qty`: what the trades that we have come to; where the venue has
    executed just that, they are not fetched once more."""

    venue_cl_ord_id: str
    symbol: str
    venue_order_id: str = ""
    side: str = ""
    qty: Decimal | None = None
    sent_ns: int = 0
    told_qty: Decimal | None = None


class Reconcile(msgspec.Struct, frozen=True, array_like=True, tag="reconcile", kw_only=True):
    """Ask for everything: open orders of all `symbols`, trades since `since_ns`, balances, instruments. Answer:
    InstrumentsReport, BalancesReport and one VenueReconciled (retried by the host until the venue answers). Trades beyond
    one frame go ahead of it as ChildTrade, and so they do ahead of a ChildQueryResult."""

    since_ns: int
    symbols: tuple[str, ...]


ToHost = PlaceChild | CancelChild | AmendChild | QueryChild | Reconcile | Heartbeat
FromHost = (
    Hello
    | BookUpdate
    | Heartbeat
    | c.ChildAck
    | c.ChildReject
    | c.ChildAmbiguous
    | c.ChildTrade
    | c.ChildDone
    | c.ChildCancelReject
    | c.ChildAmended
    | c.ChildAmendReject
    | c.ChildQueryResult
    | c.VenueLink
    | c.VenueReconciled
    | c.BalancesReport
    | c.InstrumentsReport
    | c.VenueOddity
)

_encoder = msgspec.msgpack.Encoder()
to_host_decoder = msgspec.msgpack.Decoder(ToHost)
from_host_decoder = msgspec.msgpack.Decoder(FromHost)


class FrameTooLarge(ValueError):
    """A message does not fit into a frame. Recoverable: send it in parts."""


def frame(message: ToHost | FromHost) -> bytes:
    """One wire frame; FrameTooLarge when it exceeds MAX_FRAME."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameTooLarge(f"frame of {len(body)} bytes exceeds {MAX_FRAME}")
    return len(body).to_bytes(4, "big") + body


def take_frames(buffer: bytearray, decode: Callable[[bytes], _T], found: list[_T]) -> None:
    """Move the frames that are whole from the front of `buffer` to `found`, decoded. Raises ValueError (a frame above MAX_FRAME)
    and msgspec.MsgspecError; then `found` has what came before that frame, and nothing behind it can be read."""
    at, came = 0, len(buffer)
    try:
        while came - at >= 4:
            size = int.from_bytes(buffer[at : at + 4], "big")
            if size > MAX_FRAME:
                raise ValueError(f"frame of {size} bytes; expected at most {MAX_FRAME}")
            end = at + 4 + size
            if came < end:
                break
            body = bytes(buffer[at + 4 : end])
            at = end
            found.append(decode(body))
    finally:
        del buffer[:at]
