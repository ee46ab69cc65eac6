"""The configuration files as frozen models: fixgw.toml (FirmFile) and sessions/NAME.toml (SessionFile).

venues/NAME.toml belongs to the venue connectors: fixgw/venues/settings.py. Units stand in the keys. A limit that is
left out is not enforced. The commented examples that `fixgw init` writes are in templates.py.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator

from .types import (
    CompId,
    InstrumentName,
    Instruments,
    Model,
    Money,
    Name,
    Names,
    PerInstrument,
    Port,
    RollTime,
    Scope,
    Text,
    Words,
    as_tuple,
)

# FIX enumeration characters of the words used in [entitlements]
SIDES = {"buy": "1", "sell": "2"}
ORD_TYPES = {"market": "1", "limit": "2", "stop": "3", "stop_limit": "4"}
TIFS = {"day": "0", "gtc": "1", "ioc": "3", "fok": "4", "gtd": "6"}


# more is a slip of units: nobody takes a tenth
MAX_FEE_BPS = 1000


class LimitsTable(Model):
    """[limits] of the firm, an account or a session. See core/settings.py: Limits."""

    max_order_qty: PerInstrument = Field(default_factory=dict)
    max_notional: PerInstrument = Field(default_factory=dict)
    max_open_notional: PerInstrument = Field(default_factory=dict)
    max_gross: PerInstrument = Field(default_factory=dict)
    max_net: PerInstrument = Field(default_factory=dict)
    collar_bps: PerInstrument = Field(default_factory=dict)
    max_open_orders: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    msgs_per_s: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    msg_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    repeat_max: Annotated[int, Field(ge=1, le=1024)] | None = None
    repeat_window_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1000
    max_quote_age_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    buying_power: bool = False

    @field_validator("msg_burst", "repeat_window_ms")
    @classmethod
    def _of_something(cls, value: int, info: ValidationInfo) -> int:
        what = {"msg_burst": "msgs_per_s", "repeat_window_ms": "repeat_max"}[info.field_name or ""]
        if info.data.get(what, 0) is None:  # not there at all: it was refused itself
            raise ValueError(f"{what} beside it: without that nothing is limited")
        return value


class EntitlementsTable(Model):
    """[entitlements] of the firm, an account or a session: what is left out is not restricted."""

    symbols: Instruments | None = None
    venues: Names | None = None
    sides: Annotated[tuple[Literal["buy", "sell"], ...], BeforeValidator(as_tuple)] | None = None
    ord_types: Annotated[tuple[Literal["market", "limit", "stop", "stop_limit"], ...], BeforeValidator(as_tuple)] | None = None
    tifs: Annotated[tuple[Literal["day", "gtc", "ioc", "fok", "gtd"], ...], BeforeValidator(as_tuple)] | None = None


class FixTable(Model):
    """[fix]: what the front listens on, and its caps (fixgw/fix/front.py)."""

    listen_host: Text = "127.0.0.1"
    listen_port: Port = 0
    gateway_comp_id: CompId = "FIXGW"
    frame_cap_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 64 * 1024
    logon_frame_cap_bytes: Annotated[int, Field(ge=256, le=64 * 1024)] = 4096
    logon_deadline_s: Annotated[int, Field(ge=1, le=60)] = 5
    write_cap_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024 * 1024)] = 1024 * 1024
    slow_reader_s: Annotated[int, Field(ge=1, le=600)] = 10
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 512
    max_prelogon_per_address: Annotated[int, Field(ge=1, le=10_000)] = 64
    max_latency_s: Annotated[int, Field(ge=1, le=86_400)] = 120
    # per session; the oldest file goes when another is begun
    raw_log_mb: Annotated[int, Field(ge=1, le=65_536)] = 64
    raw_log_files: Annotated[int, Field(ge=2, le=1_000)] = 5


class JournalTable(Model):
    """[journal]: "commit" survives a power cut, "os" the crash of a process."""

    sync: Literal["commit", "os"] = "commit"
    # one record (a kill of very many orders) must fit into either
    segment_mb: Annotated[int, Field(ge=16, le=4096)] = 64
    reserve_mb: Annotated[int, Field(ge=16, le=65536)] = 64
    snapshot_every_records: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 200_000
    archive: bool = True


class RiskTable(Model):
    """[risk]: the names of the checks of fixgw/risk in the order in which they run."""

    stages: Words = (
        "session_state",
        "throttle",
        "entitlements",
        "order_qty",
        "staleness",
        "notional",
        "collar",
        "repeated_order",
        "open_orders",
        "position",
        "buying_power",
    )


class EngineTable(Model):
    """[engine]."""

    max_order_age_s: Annotated[int, Field(ge=1, le=86_400)] = 30
    cl_ord_id_retention_days: Annotated[int, Field(ge=1, le=366)] = 7
    inbox_max: Annotated[int, Field(ge=16, le=10_000_000)] = 20_000
    inbox_reserved: Annotated[int, Field(ge=16, le=10_000_000)] = 5_000


class InstrumentTable(Model):
    """[[instruments]]: one thing that is traded, and where."""

    symbol: InstrumentName
    base: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")]
    quote: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")]
    venues: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    trigger: Literal["last", "bid", "ask"] = "last"


class AccountTable(Model):
    """[[accounts]]: our name for one account at one venue."""

    name: Name
    venue: Name
    venue_account: Text
    limits: LimitsTable = LimitsTable()
    entitlements: EntitlementsTable = EntitlementsTable()


def _fee(value: Decimal) -> Decimal:
    if value > MAX_FEE_BPS:
        raise ValueError(f"at most {MAX_FEE_BPS} (100 is 1 %)")
    return value


class VenueTable(Model):
    """[[venues]]: what decisions must know of a venue beyond its own file. All have defaults.

    margin_ms: how long after recv_window_ms a "not found" begins to count; taker_fee_bps: kept back when an order is
    sized by cash; can_amend: a replace that only takes from the quantity is an amend in place, where the connector can.
    """

    name: Name
    margin_ms: Annotated[int, Field(ge=0, le=600_000)] = 1000
    taker_fee_bps: Annotated[Money, AfterValidator(_fee)] = Decimal(10)
    can_amend: bool = False


class SimulatorTable(Model):
    """[simulator]: a simulated exchange that `fixgw run` starts beside the gateway; `venue` is pointed at it."""

    enabled: bool = True
    venue: Name = "sim"
    liquidity: Literal["static", "synthetic", "replay"] = "static"
    replay: Text | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    port: Port = 0
    balances: dict[Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")], Money] = Field(default_factory=dict)


class FirmFile(Model):
    """fixgw.toml."""

    firm: Text
    fix: FixTable = FixTable()
    journal: JournalTable = JournalTable()
    risk: RiskTable = RiskTable()
    limits: LimitsTable = LimitsTable()
    entitlements: EntitlementsTable = EntitlementsTable()
    engine: EngineTable = EngineTable()
    instruments: Annotated[tuple[InstrumentTable, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    accounts: Annotated[tuple[AccountTable, ...], BeforeValidator(as_tuple)] = ()
    venues: Annotated[tuple[VenueTable, ...], BeforeValidator(as_tuple)] = ()
    simulator: SimulatorTable | None = None


class ScopeTable(Model):
    """[scope] of a drop copy: whose reports are copied; "*" is all."""

    sessions: Scope = ()
    accounts: Scope = ()


class SessionFile(Model):
    """sessions/NAME.toml: one counterparty. begin_string and the two CompIDs identify it on the wire."""

    name: Name
    role: Literal["trading", "drop_copy"] = "trading"
    begin_string: Literal["FIX.4.2", "FIX.4.4", "FIXT.1.1"]
    appl_ver: Literal["FIX.5.0SP2"] | None = None
    client_comp_id: CompId
    gateway_comp_id: CompId | None = None
    enabled: bool = True
    heartbeat_min_s: Annotated[int, Field(ge=1, le=3600)] = 1
    heartbeat_max_s: Annotated[int, Field(ge=1, le=3600)] = 3600
    cancel_on_disconnect: bool = False
    # tags of 5000 and above that our dictionaries do not define
    user_defined_fields: Literal["reject", "ignore"] = "reject"
    # enumerations of what we send
    codes: Literal["newest", "published"] = "newest"
    roll_time: RollTime = "00:00"
    accounts: dict[CompId, Name] = Field(default_factory=dict)
    default_account: Name | None = None
    usd_alias: bool = True
    symbols: dict[CompId, InstrumentName] = Field(default_factory=dict)
    entitlements: EntitlementsTable = EntitlementsTable()
    limits: LimitsTable = LimitsTable()
    scope: ScopeTable | None = None
    # by reference only: "env:NAME" or "file:path"; a secret itself never stands in a configuration file
    credentials: Annotated[str, StringConstraints(pattern=r"^(env:[A-Z_][A-Z0-9_]*|file:.+)$")] | None = None

    @field_validator("entitlements", "limits")
    @classmethod
    def _of_orders(cls, value: Model, info: ValidationInfo) -> Model:
        if info.data.get("role") == "drop_copy":
            raise ValueError(f"no [{info.field_name}]: a drop copy sends no orders")
        return value
