"""Checks that need more than one table: names that must exist, ids that must differ, bounds that must fit together."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..venues.settings import VenueFileSettings
from .config import Config
from .errors import Problem, shown
from .models import EntitlementsTable, LimitsTable, SessionFile
from .symbols import taken
from .venuecheck import venue_problems

_FIRM = "fixgw.toml"
_PER_INSTRUMENT = ("max_order_qty", "max_notional", "max_open_notional", "max_gross", "max_net", "collar_bps")


def cross_check(
    config: Config,
    sessions: list[tuple[str, SessionFile]],
    venues: list[tuple[str, VenueFileSettings]],
    broken: set[str],
) -> list[Problem]:
    """Every problem between the files. `broken`: the folders ("sessions", "venues") in which a file was not readable,
    so that a name that is not found there proves nothing."""
    known_venues = None if "venues" in broken else set(config.venues)
    known_sessions = None if "sessions" in broken else set(config.sessions)
    problems = list(_names(sessions, "sessions")) + list(_names(venues, "venues"))
    problems += venue_problems(venues)
    problems += _firm(config, known_venues)
    problems += _wire_ids(config, sessions)
    for file, session in sessions:
        problems += _session(config, file, session, known_venues, known_sessions)
    return problems


def _names(files: Iterable[tuple[str, SessionFile | VenueFileSettings]], folder: str) -> Iterator[Problem]:
    """The file's name is the name, which keeps names unique and files easy to find."""
    for file, model in files:
        if file != f"{folder}/{model.name}.toml":
            stem = file[len(folder) + 1 : -5]
            yield Problem(file, "name", shown(model.name), f"expected the name of the file, {stem!r}")


def _one_of(names: Iterable[str]) -> str:
    listed = sorted(names)
    return f"expected one of {', '.join(listed)}" if listed else "nothing of that kind is configured"


def _firm(config: Config, known_venues: set[str] | None) -> Iterator[Problem]:
    """fixgw.toml by itself and against venues/."""
    firm = config.firm_file
    for number, stage in enumerate(firm.risk.stages):
        if stage in firm.risk.stages[:number]:
            yield _twice(f"risk.stages.{number}", stage)
        elif stage not in risk_stage_names():
            yield Problem(_FIRM, f"risk.stages.{number}", shown(stage), _one_of(risk_stage_names()))
    if "session_state" not in firm.risk.stages:
        yield Problem(_FIRM, "risk.stages", "", 'expected "session_state" among them: without it a kill switch refuses nothing')
    yield from _entitlements_enforced(config)
    if firm.engine.inbox_reserved >= firm.engine.inbox_max:
        value = shown(firm.engine.inbox_reserved)
        yield Problem(_FIRM, "engine.inbox_reserved", value, f"expected less than inbox_max = {firm.engine.inbox_max}")
    yield from _instruments(config, known_venues)
    yield from _accounts(config, known_venues)
    yield from _limits(config, _FIRM, "limits", firm.limits)
    yield from _entitled_names(config, _FIRM, "entitlements", firm.entitlements, known_venues)
    for number, table in enumerate(firm.venues):
        if known_venues is not None and table.name not in known_venues:
            yield Problem(_FIRM, f"venues.{number}.name", shown(table.name), _one_of(known_venues))
        if any(other.name == table.name for other in firm.venues[:number]):
            yield _twice(f"venues.{number}.name", table.name)
    simulator = firm.simulator
    if simulator is None:
        return
    if (simulator.liquidity == "replay") != (simulator.replay is not None):
        expected = 'expected a file exactly when liquidity = "replay"'
        yield Problem(_FIRM, "simulator.replay", "" if simulator.replay is None else shown(simulator.replay), expected)
    if simulator.enabled and known_venues is not None and simulator.venue not in known_venues:
        yield Problem(_FIRM, "simulator.venue", shown(simulator.venue), _one_of(known_venues))
    elif simulator.enabled and simulator.venue in config.venues and config.venues[simulator.venue].base_url:
        expected = f"venues/{simulator.venue}.toml has a base_url of its own, expected none: the simulator's is used"
        yield Problem(_FIRM, "simulator.venue", shown(simulator.venue), expected)


def _entitlements_enforced(config: Config) -> Iterator[Problem]:
    """A session's symbols name every instrument of the firm: only the risk stage keeps it from those it may not trade."""
    stages = config.firm_file.risk.stages
    restricted = sorted(name for name, session in config.sessions.items() if session.entitlements.model_fields_set)
    accounts = config.firm_file.accounts
    restricted += [f"account {account.name}" for account in accounts if account.entitlements.model_fields_set]
    restricted += ["the firm"] if config.firm_file.entitlements.model_fields_set else []
    if restricted and "entitlements" not in stages:
        expected = f'expected "entitlements" among them: without it [entitlements] of {", ".join(restricted)} restrict nothing'
        yield Problem(_FIRM, "risk.stages", shown(list(stages)), expected)


def _twice(key: str, value: str) -> Problem:
    return Problem(_FIRM, key, shown(value), "stands there twice, expected once")


def _instruments(config: Config, known_venues: set[str] | None) -> Iterator[Problem]:
    """[[instruments]]."""
    symbols: set[str] = set()
    for number, instrument in enumerate(config.firm_file.instruments):
        key = f"instruments.{number}"
        if instrument.symbol in symbols:
            yield _twice(f"{key}.symbol", instrument.symbol)
        symbols.add(instrument.symbol)
        pair = f"{instrument.base}/{instrument.quote}"
        if instrument.symbol.partition(":")[0] != pair:
            yield Problem(_FIRM, f"{key}.symbol", shown(instrument.symbol), f"expected base/quote, {pair!r}")
        for venue in instrument.venues:
            if known_venues is not None and venue not in known_venues:
                yield Problem(_FIRM, f"{key}.venues", shown(venue), _one_of(known_venues))
            elif venue in config.venues and instrument.symbol not in config.venues[venue].symbols:
                expected = f"venues/{venue}.toml does not list {instrument.symbol!r} in symbols"
                yield Problem(_FIRM, f"{key}.venues", shown(venue), expected)


def _accounts(config: Config, known_venues: set[str] | None) -> Iterator[Problem]:
    """[[accounts]]."""
    names: set[str] = set()
    held: dict[tuple[str, str], str] = {}
    for number, account in enumerate(config.firm_file.accounts):
        key = f"accounts.{number}"
        if account.name in names:
            yield _twice(f"{key}.name", account.name)
        names.add(account.name)
        if known_venues is not None and account.venue not in known_venues:
            yield Problem(_FIRM, f"{key}.venue", shown(account.venue), _one_of(known_venues))
        other = held.setdefault((account.venue, account.venue_account), account.name)
        if other != account.name:
            expected = f"account {other!r} is the same venue account, expected one name for it"
            yield Problem(_FIRM, f"{key}.venue_account", shown(account.venue_account), expected)
        file = config.venues.get(account.venue)
        if file is not None and file.account != account.venue_account:
            expected = f"expected the account whose keys venues/{account.venue}.toml holds, {file.account!r}"
            yield Problem(_FIRM, f"{key}.venue_account", shown(account.venue_account), expected)
        yield from _limits(config, _FIRM, f"{key}.limits", account.limits)
        yield from _entitled_names(config, _FIRM, f"{key}.entitlements", account.entitlements, known_venues)


def _entitled_names(
    config: Config, file: str, key: str, entitled: EntitlementsTable, known_venues: set[str] | None
) -> Iterator[Problem]:
    """An entitlement to what does not exist is a slip."""
    instruments = config.instrument_names()
    for symbol in entitled.symbols or ():
        if symbol not in instruments:
            yield Problem(file, f"{key}.symbols", shown(symbol), _one_of(instruments))
    for venue in entitled.venues or ():
        if known_venues is not None and venue not in known_venues:
            yield Problem(file, f"{key}.venues", shown(venue), _one_of(known_venues))


def _limits(config: Config, file: str, key: str, limits: LimitsTable) -> Iterator[Problem]:
    """Limits on instruments that do not exist, or whose risk stage is not run, would never apply."""
    yield from _limits_enforced(config, file, key, limits)
    known = config.instrument_names()
    for name in _PER_INSTRUMENT:
        for symbol in getattr(limits, name):
            if symbol != "*" and symbol not in known:
                yield Problem(file, f'{key}.{name}."{symbol}"', "", f'unknown instrument, {_one_of(known)}, or "*"')


def _limits_enforced(config: Config, file: str, key: str, limits: LimitsTable) -> Iterator[Problem]:
    """A limit that is set is enforced by a stage. While a stage has a wrong name, nothing is known."""
    stages, known = config.firm_file.risk.stages, risk_stages()
    if not set(stages) <= known.keys():
        return
    empty = LimitsTable()
    for stage, names in known.items():
        for name in names if stage not in stages else ():
            value = getattr(limits, name)
            if value != getattr(empty, name):
                expected = f'no risk stage enforces it: expected "{stage}" in [risk] stages of {_FIRM}, or no such limit'
                yield Problem(file, f"{key}.{name}", _written(value), expected)


def _written(value: object) -> str:
    """A limit as in the file: of one by instrument the number that holds for all, else the whole."""
    if isinstance(value, dict):
        texts = {symbol: str(most) for symbol, most in value.items()}
        return shown(texts["*"] if list(texts) == ["*"] else texts)
    return shown(value)


def _wire_ids(config: Config, sessions: list[tuple[str, SessionFile]]) -> Iterator[Problem]:
    """(BeginString, SenderCompID, TargetCompID) must tell the sessions apart."""
    seen: dict[tuple[str, str, str], str] = {}
    for file, session in sessions:
        wire = (session.begin_string, session.client_comp_id, config.gateway_comp_id(session))
        other = seen.setdefault(wire, file)
        if other != file:
            expected = f"{other} has the same BeginString and CompIDs, expected different ones"
            yield Problem(file, "client_comp_id", shown(session.client_comp_id), expected)


def _session(
    config: Config, file: str, session: SessionFile, venues: set[str] | None, sessions: set[str] | None
) -> Iterator[Problem]:
    """One session file against the rest."""
    yield from _session_form(config, file, session)
    accounts, instruments = config.account_names(), config.instrument_names()
    for client, account in session.accounts.items():
        if account not in accounts:
            yield Problem(file, f"accounts.{client}", shown(account), _one_of(accounts))
    if session.default_account is not None and session.default_account not in accounts:
        yield Problem(file, "default_account", shown(session.default_account), _one_of(accounts))
    entitled = session.entitlements.symbols
    yield from _entitled_names(config, file, "entitlements", session.entitlements, venues)
    for alias, symbol in session.symbols.items():
        if symbol not in instruments:
            yield Problem(file, f"symbols.{alias}", shown(symbol), _one_of(instruments))
        elif other := _taken(config, session, alias, symbol):
            expected = f"an alias must not be a name of another instrument, and {alias!r} means {other!r}: expected another alias"
            yield Problem(file, f"symbols.{alias}", shown(symbol), expected)
        elif entitled is not None and symbol not in entitled:
            yield Problem(file, f"symbols.{alias}", shown(symbol), "the session is not entitled to this instrument")
    yield from _limits(config, file, "limits", session.limits)
    if session.scope is None:
        return
    for name in session.scope.sessions:
        if name == session.name or (name != "*" and sessions is not None and name not in sessions):
            others = (sessions or set()) - {session.name}
            yield Problem(file, "scope.sessions", shown(name), f'{_one_of(others)}, or "*"')
    for name in session.scope.accounts:
        if name != "*" and name not in accounts:
            yield Problem(file, "scope.accounts", shown(name), f'{_one_of(accounts)}, or "*"')


def _taken(config: Config, session: SessionFile, alias: str, symbol: str) -> str:
    if alias in config.instrument_names():
        return alias if alias != symbol else ""
    return taken(alias, symbol, config.firm_file.instruments, session.usd_alias, session.entitlements.symbols)


def _session_form(config: Config, file: str, session: SessionFile) -> Iterator[Problem]:
    """Keys of one session file that depend on each other."""
    if (session.begin_string == "FIXT.1.1") != (session.appl_ver is not None):
        expected = 'expected "FIX.5.0SP2" exactly when begin_string = "FIXT.1.1"'
        yield Problem(file, "appl_ver", "" if session.appl_ver is None else shown(session.appl_ver), expected)
    if session.heartbeat_min_s > session.heartbeat_max_s:
        expected = f"expected at most heartbeat_max_s = {session.heartbeat_max_s}"
        yield Problem(file, "heartbeat_min_s", shown(session.heartbeat_min_s), expected)
    if session.role == "drop_copy":
        if session.scope is None or not (session.scope.sessions or session.scope.accounts):
            yield Problem(file, "scope", "", 'a drop copy needs [scope] with sessions or accounts, ["*"] is all')
        if session.accounts or session.default_account:
            yield Problem(file, "accounts", "", "a drop copy sends no orders, expected no accounts")
    else:
        if session.scope is not None:
            yield Problem(file, "scope", "", 'only a session of role = "drop_copy" has a [scope]')
        if not session.accounts and session.default_account is None:
            expected = f"a trading session needs accounts or a default_account, {_one_of(config.account_names())}"
            yield Problem(file, "default_account", "", expected)


def risk_stage_names() -> frozenset[str]:
    """The checks that exist."""
    return frozenset(risk_stages())


@functools.cache
def risk_stages() -> dict[str, tuple[str, ...]]:
    """The checks that exist -> the keys of [limits] that each enforces: the modules of fixgw/risk that define `check`, found by
    listing the folder. Named as their STAGE, else as the module; the keys are its LIMITS (risk/base.py)."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted((Path(__file__).parent.parent / "risk").glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body):
            continue
        said = {
            ast.unparse(node.targets[0]): ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] in (["STAGE"], ["LIMITS"])
        }
        found[said.get("STAGE", path.stem)] = said.get("LIMITS", ())
    return found
