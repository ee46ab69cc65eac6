"""fixgw.venues.host with shorter memories, as gateway.py has them: what is kept for minutes by design has levelled off, and what
is done every ten minutes has been done, when the trend is judged. Started by the supervisor where FIXGW_VENUE_MODULE names
it."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from ..venues import ccxt_venue, covering, host, listing, tracker
from . import heap
from .gateway import RETENTION_ENV

# of covering.MAX_ORDERS: at the usual rate it is full within the first minutes
COVERED_ORDERS = 512


def main() -> int:
    """fixgw.venues.host's."""
    retention_ns = int(float(os.environ[RETENTION_ENV]) * 1e9)
    # the gateway asks for the trades of a third of the retention time, and so often
    tracker.NAMED_NS = min(tracker.NAMED_NS, retention_ns)
    tracker.FULL_NS = min(tracker.FULL_NS, retention_ns)
    ccxt_venue.FORGET_NS = min(ccxt_venue.FORGET_NS, retention_ns)
    covering.MAX_ORDERS = min(covering.MAX_ORDERS, COVERED_ORDERS)
    listing.RELOAD_S = min(listing.RELOAD_S, retention_ns / 1e9)
    heap.start_telling(Path(sys.argv[sys.argv.index("--socket") + 1]).parent, threading.Event())
    return host.main()


if __name__ == "__main__":
    sys.exit(main())
