"""A place on its way out of this process, which a cancel may stop.

It waits for a slot of the venue's limit of orders and for weight, is signed, and leaves: until that moment (Call.sent) it can
be withdrawn, and then it never leaves, whatever of it is under way in ccxt's tasks (Call.refused is looked at last of all).
After it the venue may have the order, and a cancel goes to the venue.
"""

from __future__ import annotations

import asyncio

from .base import NeverSent, withdrawn
from .ccxt_exchange import Call


class Placing:
    """Of the task that makes it; `call`: its request."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._task = asyncio.current_task()
        self._why: NeverSent | None = None

    def withdraw(self) -> bool:
        """True: it has not left, and never will; the task is being cancelled."""
        if self._call.sent:
            return False
        if self._call.refused is None:
            self._call.refused = self._why = withdrawn()
            if self._task is not None:
                self._task.cancel()
        return True

    def ended(self) -> NeverSent | None:
        """Of the task that has been cancelled: why, when it was by `withdraw`."""
        if self._why is not None and self._task is not None:
            self._task.uncancel()
        return self._why
