"""fixgw.app with another retention time of finished orders.

In production finished orders stay in memory for days (cl_ord_id_retention_days), so that memory grows with the number of
orders by design. A soak run forgets them after FIXGW_SOAK_RETENTION_S, so that the plateau comes within minutes and the
trend of the rest can be seen; what one finished order takes is measured at the end and told as bytes per order
(STATE_FILE). A short memory needs short overlaps: reconciliations ask for no trades of orders that are forgotten. Started by
the supervisor where FIXGW_GATEWAY_MODULE names it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import msgspec

from .. import app
from ..config import Config
from ..core import reconcile
from ..core.settings import CoreSettings
from ..marketdata import edge
from . import heap

RETENTION_ENV = "FIXGW_SOAK_RETENTION_S"
STATE_FILE = "soak_state.json"


def deep_bytes(root: object) -> int:
    """Bytes of everything that hangs on an object, each thing once; classes, and small integers and the like that are shared
    by all, left out."""
    seen: set[int] = set()
    waiting: list[Any] = [root]
    total = 0
    while waiting:
        item = waiting.pop()
        if item is None or isinstance(item, bool | type) or id(item) in seen:
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, msgspec.Struct):
            waiting += [getattr(item, name) for name in item.__struct_fields__]
        elif isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
    return total


def main() -> int:
    """fixgw.app's."""
    retention_ns = int(float(os.environ[RETENTION_ENV]) * 1e9)
    configured, start, stop = Config.core_settings, app.Gateway.start, app.Gateway.stop
    ended = threading.Event()

    def shortened(config: Config) -> CoreSettings:
        settings = configured(config)
        return msgspec.structs.replace(settings, cl_ord_id_retention_ns=retention_ns, hash=f"{settings.hash}-soak")

    def told_of(gateway: app.Gateway) -> None:
        start(gateway)
        heap.start_telling(gateway.paths.run, ended)

    def measured(gateway: app.Gateway) -> None:
        ended.set()
        stop(gateway)
        state = gateway.engine.state
        told = {"orders": len(state.orders), "open": len(state.open_orders), "bytes": deep_bytes(state)}
        (gateway.paths.run / STATE_FILE).write_text(json.dumps(told))

    setattr(Config, "core_settings", shortened)  # noqa: B010
    setattr(app.Gateway, "start", told_of)  # noqa: B010
    setattr(app.Gateway, "stop", measured)  # noqa: B010
    reconcile.OVERLAP_NS = min(reconcile.OVERLAP_NS, retention_ns // 3)
    edge.RECONCILE_NS = min(edge.RECONCILE_NS, retention_ns // 3)
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
