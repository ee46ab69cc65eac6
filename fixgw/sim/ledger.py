"""The exchange's own memory on disk: an append-only file of JSON lines, the judge of what really happened.

Every line has seq (1, 2, 3...), ns and type: start, reserve, account, accepted, rejected, filled, amended, canceled,
expired, bust, mid. Numbers of money are exact strings. One write(2) per request, made before any reply leaves: what a
client was told is in the file even when the process is killed right after. (Nothing is synced: a power cut is not
simulated.) A torn last line, from a kill in the middle of a write, was never answered and is cut off at the next start.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fixgw.sim.matching import Engine
from fixgw.sim.model import Event, Fill, Order, Report

_INDEX_EVERY = 256
TRADE_ID_BLOCK = 100_000


def plain(value: Decimal) -> str:
    """An exact decimal string without an exponent."""
    return format(value, "f")


class LedgerError(Exception):
    """The ledger file cannot be used: says where and why."""


class Ledger:
    """Append and read. Raises LedgerError when another process holds the file: one simulator per directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seq = 0
        self._offsets: list[int] = []  # byte offset of the lines with seq 1, 257, 513...
        self._size = 0
        self._encode = msgspec.json.Encoder().encode
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise LedgerError(f"{path}: another simulator is using it") from None

    def recover(self) -> Iterator[dict[str, Any]]:
        """All records from the start of the file; cuts a torn last line. Raises LedgerError on a damaged one."""
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._fd, self._size)
                    return
                try:
                    record = decode(line)
                except msgspec.DecodeError as exc:
                    raise LedgerError(f"{self.path}: line {self.seq + 1} is damaged: {exc}") from None
                if record.get("seq") != self.seq + 1:
                    raise LedgerError(f"{self.path}: line {self.seq + 1} has seq {record.get('seq')!r}")
                self._note(len(line))
                yield record

    def _note(self, length: int) -> None:
        if self.seq % _INDEX_EVERY == 0:
            self._offsets.append(self._size)
        self.seq += 1
        self._size += length

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the records in one go. Raises OSError when the disk refuses: nothing may be answered then."""
        out = bytearray()
        lengths = []
        for number, record in enumerate(records, self.seq + 1):
            line = self._encode({"seq": number, **record}) + b"\n"
            lengths.append(len(line))
            out += line
        view = memoryview(out)
        while view:
            view = view[os.write(self._fd, view) :]
        for length in lengths:
            self._note(length)

    def read(self, since: int, limit: int) -> list[dict[str, Any]]:
        """At most limit records with seq > since, oldest first."""
        if since >= self.seq:
            return []
        block = max(since, 0) // _INDEX_EVERY
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        found: list[dict[str, Any]] = []
        with self.path.open("rb") as file:
            file.seek(self._offsets[block])
            for line in file:
                record = decode(line)
                if record["seq"] > since:
                    found.append(record)
                if len(found) >= limit or record["seq"] >= self.seq:
                    break
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def records_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The ledger lines of what the engine did (public trades between others are not kept)."""
    return [_record(event) for event in events if isinstance(event, Report)]


def _record(report: Report) -> dict[str, Any]:
    order, fill = report.order, report.fill
    common: dict[str, Any] = {
        "ns": report.at_ns, "type": "", "account": order.account, "symbol": order.symbol, "order_id": order.order_id,
        "cl_ord_id": order.cl_ord_id, "side": order.side,
    }  # fmt: skip
    if fill is not None:
        return common | {
            "type": "filled", "trade_id": fill.trade_id, "price": plain(fill.price), "qty": plain(fill.qty),
            "fee": plain(fill.fee), "fee_asset": fill.fee_asset, "is_maker": fill.is_maker,
            "cum_qty": plain(report.cum_qty), "status": report.status,
        }  # fmt: skip
    if report.kind == "NEW":
        return common | {
            "type": "accepted", "order_type": order.type, "tif": order.tif, "price": plain(order.price),
            "qty": plain(order.qty), "quote_qty": plain(order.quote_qty), "stp": order.stp,
            "locked": plain(order.locked_at_entry),
        }  # fmt: skip
    if report.kind == "REPLACED":  # cl_ord_id: as it was named when the amend came
        return common | {
            "type": "amended", "cl_ord_id": report.orig_id, "new_cl_ord_id": order.cl_ord_id, "qty": plain(order.qty),
            "cum_qty": plain(report.cum_qty), "status": report.status,
        }  # fmt: skip
    return common | {
        "type": "canceled" if report.kind == "CANCELED" else "expired", "price": plain(order.price),
        "qty": plain(order.qty), "cum_qty": plain(report.cum_qty), "status": report.status,
        "cancel_id": report.cancel_id,
    }  # fmt: skip


@dataclass(slots=True)
class Remembered:
    """What the ledger knows beside the engine's state: busted trade ids, and the mid prices set by hand."""

    busted: set[int] = field(default_factory=set)
    mids: dict[str, Decimal] = field(default_factory=dict)


def restore(engine: Engine, records: Iterable[dict[str, Any]]) -> Remembered:
    """Bring an empty engine to where the records end. Raises LedgerError."""
    remembered = Remembered()
    for record in records:
        try:
            _restore_one(engine, record, remembered)
        except KeyError as exc:
            raise LedgerError(f"ledger line {record.get('seq')}: {exc} is missing or unknown here") from None
    resting = [order for orders in engine.open_orders.values() for order in orders.values()]
    for order in sorted(resting, key=lambda order: order.order_id):  # ids grow with time: the old priority
        engine.books[order.symbol].add(order)
    return remembered


def _restore_one(engine: Engine, record: dict[str, Any], remembered: Remembered) -> None:
    kind = record["type"]
    if kind == "account":
        amounts = {asset: Decimal(amount) for asset, amount in record["balances"].items()}
        engine.add_account(record["account"], amounts, unlimited=record["unlimited"])
    elif kind == "reserve":
        engine.next_trade_id = max(engine.next_trade_id, record["trade_id"])
    elif kind == "accepted":
        if record["symbol"] not in engine.symbols:
            raise LedgerError(f"ledger line {record['seq']}: symbol {record['symbol']} is not configured")
        engine.register(
            Order(
                record["order_id"], record["account"], record["symbol"], record["side"], record["order_type"],
                record["tif"], record["cl_ord_id"], Decimal(record["price"]), Decimal(record["qty"]),
                Decimal(record["quote_qty"]), record["stp"], record["ns"], record["ns"],
                locked=Decimal(record["locked"]),
            )
        )  # fmt: skip
    elif kind == "filled":
        fill = Fill(
            record["trade_id"], record["order_id"], record["cl_ord_id"], record["account"], record["symbol"],
            record["side"], Decimal(record["price"]), Decimal(record["qty"]), Decimal(record["fee"]),
            record["fee_asset"], record["is_maker"], record["ns"],
        )  # fmt: skip
        order = engine.orders[fill.order_id]
        engine.apply_fill(order, fill)
        order.status = record["status"]
        engine.next_trade_id = max(engine.next_trade_id, fill.trade_id + 1)
        engine.books[fill.symbol].last_price = fill.price
    elif kind == "amended":
        amended = engine.orders[record["order_id"]]
        engine.reduce(amended, Decimal(record["qty"]), record["new_cl_ord_id"], record["ns"])
    elif kind in ("canceled", "expired"):
        engine.close(engine.orders[record["order_id"]], record["status"], record["ns"])
    elif kind == "bust":
        remembered.busted.add(record["trade_id"])
    elif kind == "mid":
        remembered.mids[record["symbol"]] = Decimal(record["mid"])
