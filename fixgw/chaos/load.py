"""Steady trading by one FIX client: orders of every kind, cancels, replaces, seeded."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal

from ..fix.client import ClientError, FixClient
from .witness import Hearing, Request

# the demo's static book stands around 60,000, a level every unit
_MID = 60_000
LOT = Decimal("0.001")
MAX_LIVE = 40


class Load(threading.Thread):
    """Trades until `stop`; `requests` holds what was handed to the FIX engine. `sent_ns`: ClOrdID of new orders -> when."""

    def __init__(self, client: FixClient, seed: int, rate_per_s: float = 40.0) -> None:
        super().__init__(name=f"load-{client.sender}", daemon=True)
        self._client = client
        self._random = random.Random(seed)
        self._pause_s = 1.0 / rate_per_s
        self._halt = threading.Event()
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.on_sent: Callable[[str, int], None] | None = None
        self._live: list[str] = []

    @property
    def sent(self) -> int:
        return len(self.requests)

    def stop(self) -> None:
        """No more requests."""
        self._halt.set()
        self.join(timeout=10)

    def run(self) -> None:
        while not self._halt.is_set():
            try:
                self._step()
            except ClientError as error:
                # mostly: not logged on just now
                if "not logged on" not in str(error) and len(self.errors) < 100:
                    self.errors.append(str(error))
                self._halt.wait(0.05)
            self._halt.wait(self._random.uniform(0.5, 1.5) * self._pause_s)

    def _step(self) -> None:
        dice = self._random.random()
        if len(self._live) > MAX_LIVE or (self._live and dice < 0.22):
            self._cancel()
        elif self._live and dice < 0.36:
            self._replace()
        elif dice < 0.66:
            away = self._random.randint(30, 900)
            self._new(rest=True, price=lambda buy: _MID - away if buy else _MID + away)
        elif dice < 0.86:
            tif = self._random.choice(("1", "3", "4"))
            self._new(rest=tif == "1", time_in_force=tif, price=lambda buy: _MID + 20 if buy else _MID - 20)
        elif dice < 0.93:
            self._new()
        else:
            away = self._random.randint(-3, 30)
            limit = self._random.random() < 0.5
            self._new(
                rest=True,
                stop_px=lambda buy: _MID + away if buy else _MID - away,
                price=(lambda buy: _MID + 100 if buy else _MID - 100) if limit else None,
            )

    def _new(
        self,
        *,
        rest: bool = False,
        time_in_force: str = "",
        price: Callable[[bool], int] | None = None,
        stop_px: Callable[[bool], int] | None = None,
    ) -> None:
        buy = self._random.random() < 0.5
        cl_ord_id = self._client.next_id()
        if self.on_sent is not None:
            self.on_sent(cl_ord_id, time.time_ns())
        self._client.new_order(
            "1" if buy else "2",
            LOT * self._random.randint(1, 40),
            "BTC/USDT",
            price=Decimal(price(buy)) if price else None,
            stop_px=Decimal(stop_px(buy)) if stop_px else None,
            time_in_force=time_in_force,
            cl_ord_id=cl_ord_id,
        )
        self.requests.append(Request("D", cl_ord_id))
        if rest:
            self._live.append(cl_ord_id)

    def _pick(self) -> str:
        """One that may still be open; the oldest when there are many."""
        index = 0 if len(self._live) > MAX_LIVE else self._random.randrange(len(self._live))
        return self._live[index]

    def _cancel(self) -> None:
        target = self._pick()
        self.requests.append(Request("F", self._client.cancel(target)))
        if self._random.random() < 0.9:  # now and then the same order is canceled twice
            self._live.remove(target)

    def _replace(self) -> None:
        target = self._pick()
        price: Decimal | None = Decimal(_MID + self._random.choice((-1, 1)) * self._random.randint(30, 900))
        lots = self._random.randint(1, 40)
        view = self._client.orders.get(target)
        if self._random.random() < 0.5 or (view is not None and not view.price):
            # (a stop without a limit has no price to change)
            price, lots = None, lots // 4 + 1  # at its price; mostly less than it was, so that it is amended in place
        replaced = self._client.replace(target, order_qty=LOT * lots, price=price)
        self.requests.append(Request("G", replaced))
        self._live[self._live.index(target)] = replaced


def wait_quiet(hearings: Iterable[Hearing], quiet_s: float, timeout_s: float) -> bool:
    """Until nobody heard anything for `quiet_s`; False when it never was quiet in time."""
    deadline = time.monotonic() + timeout_s
    last, since = -1, time.monotonic()
    hearings = list(hearings)
    while time.monotonic() < deadline:
        newest = sum(len(hearing) for hearing in hearings)
        if newest != last:
            last, since = newest, time.monotonic()
        elif time.monotonic() - since > quiet_s:
            return True
        time.sleep(0.1)
    return False
