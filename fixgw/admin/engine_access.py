"""How admin methods meet the engine: what is shown is durable, and a change is answered when its record is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..core import commands as c
from ..core.codec import Record
from ..core.decide import NoSuch, Refusal
from ..core.state import State
from ..engine import Engine
from .protocol import AdminError

DURABLE_WAIT_S = 5.0
_T = TypeVar("_T")


def durable_view(engine: Engine, make: Callable[[State], _T]) -> _T:
    """What `make` finds in the state, once it is durable. Raises AdminError (BUSY)."""
    with engine.reading() as state:
        found, seq = make(state), state.seq
    deadline = time.monotonic() + DURABLE_WAIT_S
    while engine.durable_seq < seq:
        if time.monotonic() > deadline:
            raise AdminError("BUSY", f"record {seq} did not become durable within {DURABLE_WAIT_S} s")
        if not engine.records(engine.durable_seq, 0.1):
            time.sleep(0.001)  # a stopped engine answers at once
    return found


def journaled(engine: Engine, command: c.Command) -> Record | None:
    """The command's record, None when it meant nothing. Raises AdminError (NOT_FOUND, REFUSED, BUSY)."""
    try:
        return engine.call(command)
    except Refusal as refusal:
        code = "NOT_FOUND" if isinstance(refusal, NoSuch) else "REFUSED"
        raise AdminError(code, str(refusal)) from refusal
    except TimeoutError as error:
        # it stays in the inbox
        raise AdminError("BUSY", f"{error}, once the gateway goes on: look before you ask again") from error
