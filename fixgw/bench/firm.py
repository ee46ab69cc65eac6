"""The configuration that is measured: one FIX 4.4 session, the full risk set with every limit set far away, a null venue."""

from __future__ import annotations

from pathlib import Path

from ..config import Config, load
from ..config.paths import Paths
from ..journal.identity import make_install_id

CLIENT, SYMBOL, VENUE, ACCOUNT = "BENCH", "BTC/USDT", "null", "bench"
# orders are priced from here up by ticks, so that no two are the same
REFERENCE_PX = 50_000

_FAR = "1000000000000"
_LIMITS = f"""
max_order_qty = "{_FAR}"
max_notional = "{_FAR}"
max_open_notional = "{_FAR}"
max_gross = "{_FAR}"
max_net = "{_FAR}"
collar_bps = "1000000"
max_open_orders = 1000000
max_quote_age_ms = 60000
buying_power = true
"""
_SESSION_LIMITS = """msgs_per_s = 1000000
msg_burst = 1000000
repeat_max = 5
"""

_FIRM = """
firm = "Bench"

[fix]
listen_port = 0

[journal]
sync = "{sync}"
segment_mb = 64
reserve_mb = 16

[limits]
{limits}
[[instruments]]
symbol = "{symbol}"
base = "BTC"
quote = "USDT"
venues = ["{venue}"]

[[accounts]]
name = "{account}"
venue = "{venue}"
venue_account = "main"

[accounts.limits]
{limits}
"""

_SESSION = """
name = "{client}"
role = "trading"
begin_string = "FIX.4.4"
client_comp_id = "{client}"
default_account = "{account}"

[entitlements]
symbols = ["{symbol}"]
venues = ["{venue}"]
sides = ["buy", "sell"]
ord_types = ["market", "limit"]
tifs = ["day", "gtc", "ioc"]

[limits]
{limits}{session_limits}
"""

_VENUE = """
kind = "null"
account = "main"
symbols = ["{symbol}"]
price = "{px}"
"""


def make_firm(directory: Path, sync: str = "commit") -> Config:
    """Write the configuration to `directory` (which is made) and load it. `sync`: "commit" or "os"."""
    paths = Paths(directory.resolve())
    paths.make_directories()
    names = {"sync": sync, "symbol": SYMBOL, "venue": VENUE, "account": ACCOUNT, "client": CLIENT}
    names |= {"limits": _LIMITS, "session_limits": _SESSION_LIMITS}
    paths.firm_file.write_text(_FIRM.format(**names))
    (paths.sessions / f"{CLIENT}.toml").write_text(_SESSION.format(**names))
    (paths.venues / f"{VENUE}.toml").write_text(_VENUE.format(**names, px=REFERENCE_PX))
    make_install_id(paths.journal)
    return load(paths.root)
