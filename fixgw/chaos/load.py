"""Steady trading by one FIX client: orders of every kind, cancels, replaces, seeded."""

from __future__ import annotations

import random
import threading
import time
from decimal import Decimal

from ..fix.client import ClientError, FixClient

# the demo's static book stands around 60,000
_MID = 60_000
LOT = Decimal("0.001")


class Load(threading.Thread):
    """Trades until `stop`; `sent` counts what was handed to the FIX engine."""

    def __init__(self, client: FixClient, seed: int, rate_per_s: float = 40.0) -> None:
        super().__init__(name="load", daemon=True)
        self._client = client
        self._random = random.Random(seed)
        self._pause_s = 1.0 / rate_per_s
        self._halt = threading.Event()
        self.sent = 0
        self.live: list[str] = []

    def stop(self) -> None:
        """No more requests."""
        self._halt.set()
        self.join(timeout=10)

    def run(self) -> None:
        while not self._halt.is_set():
            try:
                self._step()
                self.sent += 1
            except ClientError:
                self._halt.wait(0.05)  # not logged on just now
            self._halt.wait(self._random.uniform(0.5, 1.5) * self._pause_s)

    def _step(self) -> None:
        dice = self._random.random()
        if self.live and dice < 0.25:
            self._cancel()
        elif self.live and dice < 0.40:
            self._replace()
        elif dice < 0.70:
            side = self._random.choice(("1", "2"))
            away = self._random.randint(200, 900) * (-1 if side == "1" else 1)
            self.live.append(self._client.new_order(side, self._qty(), "BTC/USDT", price=Decimal(_MID + away)))
            del self.live[:-50]
        elif dice < 0.90:
            side = self._random.choice(("1", "2"))
            through = 20 if side == "1" else -20
            tif = self._random.choice(("1", "3"))
            self._client.new_order(side, self._qty(), "BTC/USDT", price=Decimal(_MID + through), time_in_force=tif)
        else:
            self._client.new_order(self._random.choice(("1", "2")), self._qty(), "BTC/USDT")

    def _qty(self) -> Decimal:
        return LOT * self._random.randint(1, 40)

    def _pick(self) -> str:
        return self.live.pop(self._random.randrange(len(self.live)))

    def _cancel(self) -> None:
        self._client.cancel(self._pick())

    def _replace(self) -> None:
        price = Decimal(_MID + self._random.choice((-1, 1)) * self._random.randint(100, 900))
        self.live.append(self._client.replace(self._pick(), order_qty=self._qty(), price=price))


def wait_quiet(client: FixClient, quiet_s: float, timeout_s: float) -> None:
    """Until no message but session traffic came for `quiet_s`."""
    deadline = time.monotonic() + timeout_s
    last, since = -1, time.monotonic()
    while time.monotonic() < deadline:
        newest = sum(1 for message in client.messages if message.msg_type in "89j")
        if newest != last:
            last, since = newest, time.monotonic()
        elif time.monotonic() - since > quiet_s:
            return
        time.sleep(0.1)
