"""Finished orders, packed away: what a client or a venue may still name for days, in a tenth of the memory.

An order that finished goes cold when more than WARM newer ones have finished (freezing.py): it becomes a row (the order, its
children, what hangs on them) of msgpack, and BLOCK rows are compressed together. ClOrdIDs and venue order ids lead to it by a
hash index; for our own ids, which are asked for seldom, the blocks' checksums of ids are searched one after the other. Every
hit is held against the row itself. Reading decodes the row and leaves it where it is; an event that changes the order takes
it out again ("thaws" it).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain

import msgspec

from .child import Child
from .hashindex import NUMBERS, HashIndex
from .order import Order

# finished orders that stay as they are
WARM = 250
# rows compressed together: a block takes 0.2 ms to make and 0.1 ms to open
BLOCK = 128
_BLOCK_NUMBERS = NUMBERS // BLOCK
_LEVEL = 6
_SUM = 4
# opened blocks at hand, for trades of a reconciliation that come in rows
_OPENED = 4


class Row(msgspec.Struct, array_like=True):
    """One order with its children. `covered`: per child, when its reservation is covered, 0 = nothing was reserved."""

    order: Order
    children: list[Child]
    covered: list[int]


class Block(msgspec.Struct, array_like=True):
    """BLOCK orders. `data`: their rows, compressed; `ids`: the checksum of each order id; `gone`: places of those that were
    taken out; `newest_ns`: when the last one finished."""

    data: bytes
    ids: bytes
    newest_ns: int
    gone: list[int] = []


_encoder = msgspec.msgpack.Encoder()
encode_row = _encoder.encode
_rows_decoder = msgspec.msgpack.Decoder(list[bytes])
_row_decoder = msgspec.msgpack.Decoder(Row)


def parent_id(venue_cl_ord_id: str) -> str:
    """The id of a child's order: a child's is the order's and three characters (ids.py). A child whose id is made otherwise
    is indexed by itself."""
    return venue_cl_ord_id[:-3]


def child_key(venue_cl_ord_id: str) -> str:
    """Key of such a child."""
    return "h" + venue_cl_ord_id


def cl_ord_id_key(session: str, cl_ord_id: str) -> str:
    """Key of a ClOrdID within its session."""
    return f"c{session}|{cl_ord_id}"


def venue_key(venue: str, symbol: str, venue_order_id: str) -> str:
    """Key of a venue's order id within the instrument."""
    return f"v{venue}|{symbol}|{venue_order_id}"


class Cold(msgspec.Struct, dict=True):
    """The packed orders, the oldest first. `tail`: encoded rows (empty: taken out) of the block in the making, whose number
    is `next_block`, and `tail_ids` the checksums of their ids; `count`: orders in here."""

    index: HashIndex = msgspec.field(default_factory=HashIndex)
    blocks: dict[int, Block] = {}
    tail: list[bytes] = []
    tail_ids: bytes = b""
    tail_newest_ns: int = 0
    next_block: int = 0
    count: int = 0

    # --- reading ---

    def order(self, order_id: str) -> Row | None:
        """The row of an order."""
        found = self._search(order_id, lambda row: row.order.order_id == order_id) if self.count else None
        return found[1] if found is not None else None

    def child(self, venue_cl_ord_id: str) -> Row | None:
        """The row of the order that has this child."""
        found = self._place_of_child(venue_cl_ord_id) if self.count else None
        return found[1] if found is not None else None

    def named(self, session: str, cl_ord_id: str) -> Row | None:
        """The row of the order that a session's ClOrdID names."""
        found = self._lookup(
            cl_ord_id_key(session, cl_ord_id), lambda row: row.order.session == session and cl_ord_id in row.order.cl_ord_ids
        )
        return found[1] if found is not None else None

    def venue_named(self, venue: str, symbol: str, venue_order_id: str) -> tuple[Row, Child] | None:
        """The child that has a venue's order id."""

        def has_it(child: Child) -> bool:
            return (child.venue, child.symbol, child.venue_order_id) == (venue, symbol, venue_order_id)

        found = self._lookup(venue_key(venue, symbol, venue_order_id), lambda row: any(map(has_it, row.children)))
        # the last one: as in the dict of those at hand, the newer has the name
        return (found[1], [child for child in found[1].children if has_it(child)][-1]) if found is not None else None

    def rows(self) -> Iterator[Row]:
        """All of them as they are now, the newest first; they are decoded as one asks for them, whatever happens meanwhile."""
        return _decoded(list(self.tail), [(block.data, tuple(block.gone)) for block in self.blocks.values()])

    # --- changing ---

    def add(self, row: Row, keys: list[str]) -> None:
        """Pack an order; `keys` lead to it."""
        tail = self.tail
        self.index.add(keys, self.next_block * BLOCK + len(tail))
        if self.index.unswept:
            # one bucket an order: the sweep ends before half as many pairs were added as there are
            self.index.tidy(self._means)
        tail.append(encode_row(row))
        self.tail_ids += _checksum(row.order.order_id)
        if row.order.finished_ns > self.tail_newest_ns:
            self.tail_newest_ns = row.order.finished_ns
        self.count += 1
        if len(tail) == BLOCK:
            self._close_tail()

    def take_order(self, order_id: str) -> Row | None:
        """Take an order out; None if it is not here."""
        return self._take(self._search(order_id, lambda row: row.order.order_id == order_id))

    def take_child(self, venue_cl_ord_id: str) -> Row | None:
        """Take out the order that has this child; None if it is not here."""
        return self._take(self._place_of_child(venue_cl_ord_id))

    def forget(self, horizon_ns: int) -> bool:
        """Drop the oldest block if all in it finished at or before `horizon_ns`; True if so."""
        oldest = next(iter(self.blocks), None)
        if oldest is None or self.blocks[oldest].newest_ns > horizon_ns:
            return False
        self.count -= BLOCK - len(self.blocks[oldest].gone)
        self._drop(oldest)
        return True

    # --- parts ---

    def _lookup(self, key: str, fits: Callable[[Row], bool]) -> tuple[int, Row] | None:
        """The newest order that the hash index has under a key: (number, row)."""
        if self.count:
            for number in self.index.find(key):
                row = self._row(number)
                if row is not None and fits(row):
                    return number, row
        return None

    def _search(self, order_id: str, fits: Callable[[Row], bool]) -> tuple[int, Row] | None:
        """The order by the checksum of its id, block after block, the newest first."""
        wanted = _checksum(order_id)
        for block, ids in chain(
            ((self.next_block, self.tail_ids),), ((number, self.blocks[number].ids) for number in reversed(self.blocks))
        ):
            at = ids.find(wanted)
            while at >= 0:
                number = block * BLOCK + at // _SUM
                row = self._row(number) if at % _SUM == 0 else None
                if row is not None and fits(row):
                    return number, row
                at = ids.find(wanted, at + 1)
        return None

    def _place_of_child(self, venue_cl_ord_id: str) -> tuple[int, Row] | None:
        def fits(row: Row) -> bool:
            return venue_cl_ord_id in row.order.children

        return self._lookup(child_key(venue_cl_ord_id), fits) or self._search(parent_id(venue_cl_ord_id), fits)

    def _take(self, found: tuple[int, Row] | None) -> Row | None:
        if found is None:
            return None
        block, place = divmod(found[0], BLOCK)
        if block == self.next_block:
            self.tail[place] = b""
        else:
            self.blocks[block].gone.append(place)
            if len(self.blocks[block].gone) == BLOCK:
                self._drop(block)
        self.count -= 1
        return found[1]

    def _row(self, number: int) -> Row | None:
        """None for one that was taken out or dropped."""
        at, place = divmod(number, BLOCK)
        if at == self.next_block:
            return _row_decoder.decode(self.tail[place]) if place < len(self.tail) and self.tail[place] else None
        block = self.blocks.get(at)
        if block is None or place in block.gone:
            return None
        opened = self._opened.get(at)
        if opened is None:
            if len(self._opened) >= _OPENED:
                del self._opened[next(iter(self._opened))]
            opened = self._opened[at] = open_block(block)
        return _row_decoder.decode(opened[place])

    @cached_property
    def _opened(self) -> dict[int, list[bytes]]:
        """Only a cache: no field, so neither in a snapshot nor compared."""
        return {}

    def _means(self, number: int) -> bool:
        block = number // BLOCK
        return block in self.blocks or block == self.next_block

    def _close_tail(self) -> None:
        gone = [place for place, data in enumerate(self.tail) if not data]
        if len(gone) < BLOCK:
            data = zlib.compress(_encoder.encode(self.tail), _LEVEL)
            self.blocks[self.next_block] = Block(data, self.tail_ids, self.tail_newest_ns, gone)
        self.tail, self.tail_ids, self.tail_newest_ns = [], b"", 0
        self.next_block = (self.next_block + 1) % _BLOCK_NUMBERS
        assert self.next_block not in self.blocks, "more packed orders than there are numbers"

    def _drop(self, block: int) -> None:
        del self.blocks[block]
        self._opened.pop(block, None)
        self.index.sweep()


def _checksum(order_id: str) -> bytes:
    return zlib.crc32(order_id.encode()).to_bytes(_SUM, "little")


def _decoded(tail: list[bytes], blocks: list[tuple[bytes, tuple[int, ...]]]) -> Iterator[Row]:
    for encoded in reversed(tail):
        if encoded:
            yield _row_decoder.decode(encoded)
    for data, gone in reversed(blocks):
        rows = _rows_decoder.decode(zlib.decompress(data))
        for place in range(BLOCK - 1, -1, -1):
            if place not in gone:
                yield _row_decoder.decode(rows[place])


def open_block(block: Block) -> list[bytes]:
    """Its encoded rows."""
    return _rows_decoder.decode(zlib.decompress(block.data))
