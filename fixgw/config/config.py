"""The whole configuration of one installation, and what each process needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel

from ..core.settings import (
    AccountSettings,
    CoreSettings,
    Entitlements,
    InstrumentSettings,
    Limits,
    SessionSettings,
    VenueSettings,
)
from ..venues.settings import VenueFileSettings
from .fingerprint import settings_hash
from .models import ORD_TYPES, SIDES, TIFS, EntitlementsTable, FirmFile, LimitsTable, SessionFile, VenueTable
from .paths import Paths
from .symbols import symbol_map
from .types import roll_seconds

_MS = 1_000_000
_S = 1_000_000_000
_DAY = 86_400 * _S


@dataclass(frozen=True, slots=True)
class Config:
    """Made by load(): consistent, nothing in it needs checking again. Maps are by name."""

    paths: Paths
    firm_file: FirmFile
    sessions: dict[str, SessionFile]
    venues: dict[str, VenueFileSettings]

    def gateway_comp_id(self, session: SessionFile) -> str:
        """TargetCompID(56) of what the client sends."""
        return session.gateway_comp_id or self.firm_file.fix.gateway_comp_id

    def instrument_names(self) -> frozenset[str]:
        return frozenset(table.symbol for table in self.firm_file.instruments)

    def account_names(self) -> frozenset[str]:
        return frozenset(table.name for table in self.firm_file.accounts)

    def core_settings(self) -> CoreSettings:
        """What decisions depend on. Its hash is that of the whole configuration (fingerprint.py)."""
        firm = self.firm_file
        settings = CoreSettings(
            hash="",
            sessions={name: self._session(session) for name, session in sorted(self.sessions.items())},
            accounts={
                table.name: AccountSettings(
                    name=table.name,
                    venue=table.venue,
                    venue_account=table.venue_account,
                    limits=core_limits(table.limits),
                    entitlements=core_entitlements(table.entitlements),
                )
                for table in sorted(firm.accounts, key=lambda table: table.name)
            },
            venues={name: self.core_venue(name) for name in sorted(self.venues)},
            instruments={
                table.symbol: InstrumentSettings(
                    symbol=table.symbol,
                    base=table.base,
                    quote=table.quote,
                    venues=table.venues,
                    trigger=table.trigger,
                )
                for table in sorted(firm.instruments, key=lambda table: table.symbol)
            },
            firm=core_limits(firm.limits),
            firm_entitlements=core_entitlements(firm.entitlements),
            risk_stages=firm.risk.stages,
            max_order_age_ns=firm.engine.max_order_age_s * _S,
            cl_ord_id_retention_ns=firm.engine.cl_ord_id_retention_days * _DAY,
        )
        files: dict[str, BaseModel] = {"fixgw": firm}
        files |= {f"sessions/{name}": session for name, session in self.sessions.items()}
        files |= {f"venues/{name}": venue for name, venue in self.venues.items()}
        return msgspec.structs.replace(settings, hash=settings_hash(settings, self.paths.root, files))

    def core_venue(self, name: str) -> VenueSettings:
        """What the core must know of one venue."""
        rules = next((table for table in self.firm_file.venues if table.name == name), VenueTable(name=name))
        return VenueSettings(
            name=name,
            recv_window_ns=self.venues[name].recv_window_ms * _MS,
            margin_ns=rules.margin_ms * _MS,
            can_amend=rules.can_amend,
            taker_fee_bps=rules.taker_fee_bps,
        )

    def _session(self, session: SessionFile) -> SessionSettings:
        symbols: dict[str, str] = {}
        if session.role == "trading":
            instruments = self.firm_file.instruments
            symbols = symbol_map(instruments, session.symbols, session.usd_alias, session.entitlements.symbols)
        accounts = dict(sorted(session.accounts.items()))
        if session.default_account is not None:
            accounts[""] = session.default_account
        scope = session.scope
        return SessionSettings(
            name=session.name,
            role=session.role,
            symbols=symbols,
            accounts=accounts,
            entitlements=core_entitlements(session.entitlements),
            limits=core_limits(session.limits),
            cancel_on_disconnect=session.cancel_on_disconnect,
            roll_time_s=roll_seconds(session.roll_time),
            scope_sessions=frozenset(scope.sessions) if scope else frozenset(),
            scope_accounts=frozenset(scope.accounts) if scope else frozenset(),
        )

    def front_sessions(self) -> dict[str, Any]:
        """The sessions file of the front (fixgw/fix/front_logon.py: FrontConfig)."""
        fix = self.firm_file.fix
        return {
            "sessions": [
                {
                    "begin_string": session.begin_string,
                    "client_comp_id": session.client_comp_id,
                    "gateway_comp_id": self.gateway_comp_id(session),
                    "enabled": session.enabled,
                    "name": session.name,
                    "heartbeat_min_s": session.heartbeat_min_s,
                    "heartbeat_max_s": session.heartbeat_max_s,
                    "user_defined_fields": session.user_defined_fields,
                }
                for session in self.sessions.values()
            ],
            "frame_cap": fix.frame_cap_bytes,
            "logon_frame_cap": fix.logon_frame_cap_bytes,
            "logon_deadline_s": float(fix.logon_deadline_s),
            "write_cap": fix.write_cap_bytes,
            "slow_reader_s": float(fix.slow_reader_s),
            "max_connections": fix.max_connections,
            "max_prelogon_per_address": fix.max_prelogon_per_address,
            "max_latency_s": float(fix.max_latency_s),
        }

    def notes(self) -> list[str]:
        """What is valid and still worth a line from `fixgw check`."""
        found = [
            f"sessions/{name}.toml: credentials are not checked yet: the front knows a client by its CompIDs only"
            for name, session in self.sessions.items()
            if session.credentials is not None
        ]
        if self.firm_file.fix.listen_host not in ("127.0.0.1", "::1", "localhost"):
            found.append("fixgw.toml: fix.listen_host is not loopback, and FIX is plain TCP without authentication")
        return found


def core_entitlements(table: EntitlementsTable) -> Entitlements:
    """[entitlements] in the words of the core."""
    return Entitlements(
        symbols=None if table.symbols is None else frozenset(table.symbols),
        venues=None if table.venues is None else frozenset(table.venues),
        sides=None if table.sides is None else frozenset(SIDES[word] for word in table.sides),
        ord_types=None if table.ord_types is None else frozenset(ORD_TYPES[word] for word in table.ord_types),
        tifs=None if table.tifs is None else frozenset(TIFS[word] for word in table.tifs),
    )


def core_limits(table: LimitsTable) -> Limits:
    """[limits] in the units of the core."""
    return Limits(
        max_order_qty=dict(sorted(table.max_order_qty.items())),
        max_notional=dict(sorted(table.max_notional.items())),
        max_open_notional=dict(sorted(table.max_open_notional.items())),
        max_gross=dict(sorted(table.max_gross.items())),
        max_net=dict(sorted(table.max_net.items())),
        collar_bps=dict(sorted(table.collar_bps.items())),
        max_open_orders=table.max_open_orders,
        msg_rate=table.msgs_per_s,
        msg_burst=table.msg_burst,
        repeat_max=table.repeat_max,
        repeat_window_ns=table.repeat_window_ms * _MS,
        max_quote_age_ns=None if table.max_quote_age_ms is None else table.max_quote_age_ms * _MS,
        buying_power=table.buying_power,
    )
