"""`fixgw bench recovery`: the gateway's restart on a long journal, from exec until its state is ready.

cold      no snapshot: every record is replayed          snapshot   a snapshot, and the last `TAIL` of the events behind it
memory    what the process grew by in resident memory between configuration and ready state, the larger of both kinds of
          start, divided by the orders that are open: finished ones, which are held for the retention time of ClOrdIDs,
          are paid for by those. bytes_open_orders_only is the same on a journal without finished orders
Bytecode is compiled before (a first run that does not count), as it is in an installation.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..config import Config
from ..process import tied
from .firm import make_firm
from .party import BenchError, environment
from .recovery_journal import Made, make_journal

TARGETS: Final = {"cold_s": 6.0, "snapshot_s": 1.0, "bytes_per_open_order": 4096}
# the part of the records that is newer than the snapshot
TAIL: Final = 0.01
_START_S: Final = 600.0


def measure(events: int, open_count: int, runs: int, directory: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Write the journal, restart on it; the figures as the JSON file has them. Raises BenchError."""
    config = make_firm(directory / "firm")
    made = make_journal(config, events, open_count, tell)
    tell("compiling")
    _start(config, made, directory)
    cold = [_told(tell, "cold", number, _start(config, made, directory)) for number in range(runs)]
    tell("making a snapshot")
    _make_snapshot(config, max(1, int(made.records * (1 - TAIL))))
    warm = [_told(tell, "snapshot", number, _start(config, made, directory)) for number in range(runs)]
    open_firm = make_firm(directory / "open")
    open_made = make_journal(open_firm, 0, open_count, tell)
    alone = _told(tell, "open orders only", 0, _start(open_firm, open_made, directory))
    grown = {
        name: statistics.median(run["resident_after"] - run["resident_before"] for run in starts)
        for name, starts in (("cold", cold), ("snapshot", warm), ("open_orders_only", [alone]))
    }
    held = max(grown["cold"], grown["snapshot"])
    found = {
        "cold_s": round(statistics.median(run["ready_s"] for run in cold), 3),
        "snapshot_s": round(statistics.median(run["ready_s"] for run in warm), 3),
        "bytes_per_open_order": round(held / made.open_orders),
    }
    return {
        **found,
        "targets_met": {key: found[key] <= bound for key, bound in TARGETS.items()},
        "bytes_per_order_held": round(held / made.orders),
        "bytes_open_orders_only": round(grown["open_orders_only"] / open_made.open_orders),
        "resident_grown": grown,
        "events": made.events,
        "records": made.records,
        "open_orders": made.open_orders,
        "orders_held": made.orders,
        "journal_bytes": sum(path.stat().st_size for path in config.paths.journal.glob("*") if path.is_file()),
        "raw": {"cold": cold, "snapshot": warm, "open_orders_only": alone},
    }


def _told(tell: Callable[[str], None], what: str, number: int, run: dict[str, Any]) -> dict[str, Any]:
    tell(f"{what} start {number + 1}: {run['ready_s']:.2f} s")
    return run


def _start(config: Config, made: Made, directory: Path) -> dict[str, Any]:
    """One restart; what it printed."""
    began_ns = time.monotonic_ns()
    done = subprocess.run(
        [sys.executable, "-m", "fixgw.bench.recovery_start", str(config.paths.root), str(began_ns)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(directory), timeout=_START_S,
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"the restart ended with {done.returncode}: {done.stderr[-1500:]}")
    run: dict[str, Any] = json.loads(done.stdout)
    if (run["seq"], run["open_orders"]) != (made.records, made.open_orders):
        raise BenchError(
            f"the restart has record {run['seq']} and {run['open_orders']} open orders, "
            f"expected {made.records} and {made.open_orders}"
        )
    return run


def _make_snapshot(config: Config, upto_seq: int) -> None:
    """By the process that the gateway uses for it (without archiving)."""
    command = tied("fixgw.journal.snapshotter", str(config.paths.journal), "--upto", str(upto_seq), "--floor", "0")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_START_S)
    if done.returncode:
        raise BenchError(f"the snapshotter ended with {done.returncode}: {done.stderr[-1500:]}")
