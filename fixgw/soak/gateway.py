"""fixgw.app with another retention time of finished orders.

In production finished orders stay in memory for days (cl_ord_id_retention_days), so that memory grows with the number of
orders by design. A soak run forgets them after FIXGW_SOAK_RETENTION_S, so that the plateau comes within minutes and the
trend of the rest can be seen. Started by the supervisor where FIXGW_GATEWAY_MODULE names it.
"""

from __future__ import annotations

import os
import sys

import msgspec

from .. import app
from ..config import Config
from ..core.settings import CoreSettings

RETENTION_ENV = "FIXGW_SOAK_RETENTION_S"


def main() -> int:
    """fixgw.app's."""
    retention_ns = int(float(os.environ[RETENTION_ENV]) * 1e9)
    configured = Config.core_settings

    def shortened(config: Config) -> CoreSettings:
        settings = configured(config)
        return msgspec.structs.replace(settings, cl_ord_id_retention_ns=retention_ns, hash=f"{settings.hash}-soak")

    setattr(Config, "core_settings", shortened)  # noqa: B010
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
