"""What a trading client does: new orders of all kinds, replaces, cancels, status requests, and the mistakes of an OMS."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from .client import Client, OrderView
from .exchange import LOT, SYMBOL, TICK
from .scheduler import SECOND, Sim

# (OrdType, TimeInForce, weight)
_KINDS: Final = (
    ("2", "1", 8), ("2", "0", 3), ("2", "3", 3), ("2", "4", 1), ("2", "6", 2), ("1", "0", 3), ("3", "1", 2), ("4", "1", 1),
)  # fmt: skip
_WEIGHTS: Final = tuple(weight for *_, weight in _KINDS)


class Trader:
    """Drives one client until `stop_ns`."""

    def __init__(self, sim: Sim, client: Client, stop_ns: int) -> None:
        self.sim = sim
        self.client = client
        self._stop_ns = stop_ns
        self._count = 0
        self._gap_ms = sim.ms(300, 2500) / 1_000_000
        sim.at(sim.ms(500, 2500), self._act)

    def _act(self) -> None:
        sim = self.sim
        if sim.now >= self._stop_ns:
            return
        roll = sim.rng.random()
        if roll < 0.45:
            for _ in range(sim.rng.choice((1, 1, 1, 2, 4))):
                self._new()
        elif roll < 0.66:
            self._change("F")
        elif roll < 0.84:
            self._change("G")
        elif roll < 0.90:
            self._take_off()
        elif roll < 0.95:
            self._repeat()
        else:
            self._status()
        sim.at(sim.ms(1, 2 * self._gap_ms), self._act)

    def _next_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _px(self) -> Decimal:
        return Decimal(100) + self.sim.rng.randint(-60, 60) * TICK

    def _new(self) -> None:
        rng = self.sim.rng
        ord_type, tif, _ = rng.choices(_KINDS, _WEIGHTS)[0]
        fields: dict[str, Any] = {
            "cl_ord_id": self._next_id("n"), "symbol": SYMBOL, "side": rng.choice("12"), "ord_type": ord_type, "tif": tif,
            "order_qty": LOT * rng.randint(1, 12),
        }  # fmt: skip
        if ord_type in "24":
            fields["price"] = self._px()
        if ord_type in "34":
            fields["stop_px"] = self._px()
        if tif == "6":
            fields["expire_ns"] = self.sim.now + rng.randint(2, 40) * SECOND
        if ord_type == "2" and tif == "1" and rng.random() < 0.15:
            fields["exec_inst"] = "6"
        if rng.random() < 0.03:
            fields["order_qty"] = LOT + TICK  # no multiple of the lot
        self.client.request("D", **fields)

    def _choose(self) -> OrderView | None:
        """Mostly one that works, sometimes one that is over."""
        rng = self.sim.rng
        views = [view for view in self.client.books.orders.values() if view.status in "A016E" or rng.random() < 0.1][-6:]
        return rng.choice(views) if views else None

    def _change(self, kind: str) -> None:
        view = self._choose()
        if view is None:
            return
        rng = self.sim.rng
        fields: dict[str, Any] = {"cl_ord_id": self._next_id(kind.lower()), "orig_cl_ord_id": view.cl_ord_id}
        if rng.random() < 0.3:
            fields["order_id"] = view.order_id
        if kind == "G":
            fields |= {"symbol": SYMBOL, "side": view.side, "ord_type": view.ord_type, "order_qty": LOT * rng.randint(1, 14)}
            if view.price is not None:
                fields["price"] = self._px()
            fields |= self._other_terms(view)
        self.client.request(kind, **fields)
        if rng.random() < 0.15:
            # not patient: the other request at once
            other = {"cl_ord_id": self._next_id("f"), "orig_cl_ord_id": view.cl_ord_id}
            self.client.request("F", **other)

    def _other_terms(self, view: OrderView) -> dict[str, Any]:
        """Now and then another time to end at, wrongly without GTD too, or another stop price."""
        rng, fields = self.sim.rng, dict[str, Any]()
        if view.ord_type in "34" and rng.random() < 0.4:
            fields["stop_px"] = self._px()
        if rng.random() < 0.3:
            fields["tif"] = rng.choice("166")
        if fields.get("tif") == "6" or rng.random() < 0.05:
            fields["expire_ns"] = self.sim.now + rng.randint(1, 20) * SECOND
        return fields

    def _take_off(self) -> None:
        """Less of the same: an amend in place."""
        rng = self.sim.rng
        views = [
            view
            for view in self.client.books.orders.values()
            if view.status in "01" and view.ord_type == "2" and view.leaves_qty > LOT
        ][-12:]
        if views:
            view = rng.choice(views)
            lots = rng.randint(1, int(view.leaves_qty / LOT) - 1)
            self.client.request(
                "G", cl_ord_id=self._next_id("g"), orig_cl_ord_id=view.cl_ord_id, symbol=SYMBOL, side=view.side,
                ord_type=view.ord_type, order_qty=view.order_qty - LOT * lots, price=view.price,
            )  # fmt: skip

    def _repeat(self) -> None:
        """An earlier request again: as a possible resend, or as a mistake with a used ClOrdID."""
        rng = self.sim.rng
        known = list(self.client.requests.values())[-8:]
        if known:
            resend = rng.random() < 0.6
            self.sim.counts["possible resend sent" if resend else "used ClOrdID sent"] += 1
            self.client.repeat(rng.choice(known), poss_resend=resend)

    def _status(self) -> None:
        view = self._choose()
        cl_ord_id = view.cl_ord_id if view is not None else "unknown"
        self.client.request("H", cl_ord_id=cl_ord_id)
