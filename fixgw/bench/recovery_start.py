"""The gateway's start, up to the moment at which its state is ready: `python -m fixgw.bench.recovery_start DIR BEGAN_NS`.

This is fixgw.app itself; only when it has its journal and its state, it prints how long that took since BEGAN_NS
(CLOCK_MONOTONIC, taken just before this process was started) and ends instead of building the rest.
"""

from __future__ import annotations

import sys
import time

_IMPORTING_NS = time.monotonic_ns()

import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

from .. import app  # noqa: E402
from ..config import Config  # noqa: E402


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> int:
    """Prints one JSON object."""
    began_ns = int(sys.argv.pop(2))
    told: dict[str, Any] = {"imported_s": (time.monotonic_ns() - began_ns) / 1e9}
    told["interpreter_s"] = (_IMPORTING_NS - began_ns) / 1e9
    recover = app.recover

    def recovered(config: Config, on_full: Callable[[bool], None]) -> NoReturn:
        told["configured_s"] = (time.monotonic_ns() - began_ns) / 1e9
        told["resident_before"] = resident_bytes()
        journal, state = recover(config, on_full)
        told["ready_s"] = (time.monotonic_ns() - began_ns) / 1e9
        told["resident_after"] = resident_bytes()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        told["cpu_s"] = usage.ru_utime + usage.ru_stime
        told.update(seq=state.seq, open_orders=len(state.open_orders), orders=len(state.orders) + state.cold.count)
        journal.close(clean=True)
        print(json.dumps(told), flush=True)
        os._exit(0)

    app.recover = recovered
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
