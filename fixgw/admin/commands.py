"""The commands that talk to a running gateway over its admin socket. Each only asks and prints."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ..answers import carried_out
from ..config.paths import Paths
from .asked import DEFAULT_ROWS, MAX_ROWS
from .client import AdminClient, NotRunning, shown_by
from .protocol import AdminError
from .render import print_fields, print_json, print_table, print_warning

_F = TypeVar("_F", bound=Callable[..., Any])

NO_REASON: Final = "no reason given"

ORDER_COLUMNS = [
    "order_id",
    "session",
    "cl_ord_id",
    "symbol",
    "side",
    "ord_type",
    "tif",
    "order_qty",
    "price",
    "cum_qty",
    "leaves_qty",
    "avg_px",
    "ord_status",
    "pending",
    "unknown",
    "updated_ns",
]
FILL_COLUMNS = [
    "ts_ns",
    "exec_id",
    "order_id",
    "session",
    "symbol",
    "side",
    "last_qty",
    "last_px",
    "fee",
    "fee_asset",
    "liquidity",
    "venue",
    "venue_trade_id",
    "busted",
    "corrected_by",
]
SESSION_COLUMNS = [
    "name",
    "role",
    "begin_string",
    "client_comp_id",
    "enabled",
    "connected",
    "level",
    "next_sender",
    "next_target",
    "open_orders",
    "pending_reports",
    "last_logon_ns",
    "fault",
]
POSITION_COLUMNS = ["scope", "name", "symbol", "net", "open_buy", "open_sell"]
BALANCE_COLUMNS = ["account", "venue", "asset", "free", "total", "in_flight", "available", "asof_ns"]
LIMIT_COLUMNS = ["scope", "name", "limit", "symbol", "used", "max"]
PROCESS_COLUMNS = ["name", "pid", "up", "restarts", "restarts_lately", "started_ns", "reason"]
VENUE_COLUMNS = ["name", "account", "state", "up", "level", "unknown_orders", "host_pid", "reason"]


_directory = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FIXGW_DIR",
    default=".",
    show_envvar=True,
    help="The installation's folder.  [default: .]",
)
# eager: what asks for a reason must know of it
_json = click.option("--json", "as_json", is_flag=True, is_eager=True, help="Print JSON.")
_of_session = click.option("--session", metavar="NAME", help="Only of this session.")
_of_symbol = click.option("--symbol", metavar="SYMBOL", help="Only of this instrument: BTC/USDT, or as any session calls it.")
_limit = click.option(
    "--limit", type=click.IntRange(1, MAX_ROWS), default=DEFAULT_ROWS, show_default=True, help="At most so many."
)


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _reason_or_ask(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """Every change is journaled with its reason. A person at a terminal is asked for it, Enter is an answer too; a script is
    never held up: a kill that is refused for want of words helps nobody."""
    if value is not None and value.strip():
        return value.strip()
    if value is None and _on_terminal() and not ctx.params.get("as_json") and not ctx.resilient_parsing:
        # on stderr: the answer may go to a file
        try:
            return str(click.prompt("Reason", default=NO_REASON, err=True)).strip() or NO_REASON
        except click.Abort:
            click.echo(err=True)  # behind the terminal's ^C
            raise click.ClickException("stopped before anything was asked for: nothing was changed") from None
    return NO_REASON


_reason = click.option(
    "--reason",
    callback=_reason_or_ask,
    metavar="TEXT",
    help=f"Why; journaled with your name. When left out: asked for on a terminal, else {NO_REASON!r}.",
)


class _NotRunning(click.ClickException):
    exit_code = 2


def _ask(directory: Path, method: str, **params: Any) -> Any:
    """One call; errors as click shows them: exit status 1, or 2 when no gateway answers."""
    try:
        with AdminClient(Paths(directory.resolve()).admin_socket) as client:
            result = client.call(method, **params)
            if command := shown_by(method, params):
                carried_out(click.get_current_context(), f"`{method}` was carried out, {command} shows it")
            return result
    except NotRunning as error:
        raise _NotRunning(str(error)) from error
    except AdminError as error:
        raise click.ClickException(f"{error.code}: {error.message}") from error


@click.command()
@_directory
@_json
def status(directory: Path, as_json: bool) -> None:
    """How the running gateway is: journal, projection, venues, kill switches, the front and the other processes.

    \b
    Example:
      fixgw status --dir demo
    """
    result = _ask(directory, "status")
    if as_json:
        print_json(result)
        return
    print_fields(str(result.get("firm", "gateway")), result)
    print_table("venues", VENUE_COLUMNS, result.get("venues", []))
    if processes := result.get("processes"):
        print_table("processes", PROCESS_COLUMNS, processes)


@click.command()
@click.option("--session", metavar="NAME", help="Only this one.")
@_directory
@_json
def sessions(directory: Path, as_json: bool, session: str | None) -> None:
    """List the FIX sessions: connected or not, numbers, reports that are not confirmed to have arrived.

    \b
    Example:
      fixgw sessions --dir demo
    """
    result = _ask(directory, "sessions", session=session)
    if as_json:
        print_json(result)
        return
    # "10000+": at least so many
    rows = [row | {"pending_reports": _at_least(row)} for row in result["sessions"]]
    print_table("sessions", SESSION_COLUMNS, rows, more=bool(result.get("more")))


def _at_least(row: dict[str, Any]) -> str:
    return f"{row.get('pending_reports')}{'+' if row.get('pending_more') else ''}"


@click.command()
@_of_session
@click.option("--open", "only_open", is_flag=True, help="Only orders that are not finished.")
@_of_symbol
@_limit
@_directory
@_json
def orders(directory: Path, as_json: bool, session: str | None, only_open: bool, symbol: str | None, limit: int) -> None:
    """List orders, the newest first.

    \b
    Example:
      fixgw orders --open --session OMS44 --dir demo
    """
    result = _ask(directory, "orders", session=session, open=only_open or None, symbol=symbol, limit=limit)
    if as_json:
        print_json(result)
        return
    print_table("orders", ORDER_COLUMNS, result["orders"], more=bool(result.get("more")))


@click.command()
@click.argument("order_id")
@_directory
@_json
def order(directory: Path, as_json: bool, order_id: str) -> None:
    """Show one order by its OrderID(37): children, fills and history.

    \b
    Example:
      fixgw order A1B2C0010000042 --dir demo
    """
    result = _ask(directory, "order", order_id=order_id)
    if as_json:
        print_json(result)
        return
    print_fields(f"order {order_id}", result["order"])
    child_columns = ["venue_cl_ord_id", "venue_order_id", "venue", "qty", "px", "cum_qty", "state"]
    print_table("children", child_columns, result.get("children", []))
    print_table("fills", FILL_COLUMNS, result.get("fills", []))
    print_table("history", ["seq", "ts_ns", "event", "text"], result.get("history", []))
    if incomplete := result.get("incomplete"):
        print_warning(f"there may be more fills and history: {incomplete}")


@click.command()
@_of_session
@_of_symbol
@_limit
@_directory
@_json
def fills(directory: Path, as_json: bool, session: str | None, symbol: str | None, limit: int) -> None:
    """List fills, the newest first: of the last 2,000 of the firm. Older ones stand in data/projection.db.

    A fill that was corrected has a row for each report that told it; what counts is neither busted nor corrected_by another.

    \b
    Example:
      fixgw fills --symbol BTC/USDT --json --dir demo
    """
    result = _ask(directory, "fills", session=session, symbol=symbol, limit=limit)
    if as_json:
        print_json(result)
        return
    print_table("fills", FILL_COLUMNS, result["fills"], more=bool(result.get("more")))
    if trouble := result.get("projection_trouble"):
        print_warning(f"data/projection.db, where the older ones stand, is not up to date: {trouble}")


@click.command()
@click.option("--account", metavar="NAME", help="Only of this account.")
@_of_symbol
@_directory
@_json
def positions(directory: Path, as_json: bool, account: str | None, symbol: str | None) -> None:
    """List positions, open quantities, and the balances that venues report.

    asof: what the venue did until then is in free and total of that asset.

    \b
    Example:
      fixgw positions --dir demo
    """
    result = _ask(directory, "positions", account=account, symbol=symbol)
    if as_json:
        print_json(result)
        return
    print_table("positions", POSITION_COLUMNS, result["positions"])
    print_table("balances", BALANCE_COLUMNS, result.get("balances", []))


@click.command()
@click.option("--session", metavar="NAME", help="Only what applies to this session.")
@_directory
@_json
def limits(directory: Path, as_json: bool, session: str | None) -> None:
    """List limits, how much of them is used, and kill switches.

    \b
    Example:
      fixgw limits --session OMS44 --dir demo
    """
    result = _ask(directory, "limits", session=session)
    if as_json:
        print_json(result)
        return
    print_table("limits", LIMIT_COLUMNS, result["limits"])
    print_table("levels", ["scope", "name", "level"], result.get("levels", []))


def _tell(result: Any, as_json: bool, title: str) -> None:
    """The answer to a change."""
    if as_json:
        print_json(result)
    else:
        print_fields(title, result)


@click.command()
@click.argument("order_id")
@_reason
@_directory
@_json
def cancel(directory: Path, as_json: bool, order_id: str, reason: str) -> None:
    """Cancel one order by its OrderID(37); its client gets the reports.

    \b
    Example:
      fixgw cancel A1B2C0010000042 --dir demo
      fixgw cancel A1B2C0010000042 --reason "asked by phone" --dir demo
    """
    _tell(_ask(directory, "cancel", order_id=order_id, reason=reason), as_json, "cancel is under way")


def _scope(command: _F) -> _F:
    command = click.option("--firm", is_flag=True, help="Everything.")(command)
    command = click.option("--venue", metavar="NAME", help="One venue.")(command)
    return click.option("--session", metavar="NAME", help="One FIX session.")(command)


def _scope_of(session: str | None, venue: str | None, firm: bool) -> tuple[str, str]:
    """(scope, target). Raises UsageError unless exactly one is given."""
    given = [("session", session)] if session else []
    given += [("venue", venue)] if venue else []
    given += [("firm", "")] if firm else []
    if len(given) != 1:
        raise click.UsageError("expected exactly one of --session NAME, --venue NAME, --firm")
    scope, target = given[0]
    return scope, target or ""


@click.command()
@_scope
@click.option(
    "--level",
    type=click.Choice(["HALTED", "REDUCING"]),
    default="HALTED",
    show_default=True,
    help="HALTED cancels and refuses everything; REDUCING lets through what cannot increase a position.",
)
@_reason
@_directory
@_json
def kill(
    directory: Path,
    as_json: bool,
    session: str | None,
    venue: str | None,
    firm: bool,
    level: str,
    reason: str,
) -> None:
    """Kill switch: refuse new orders and cancel what is open. Survives a restart; `resume` ends it.

    REDUCING is refused where HALTED is in force: a kill never loosens one, only `resume` does.

    \b
    Example:
      fixgw kill --session OMS44 --reason "runaway algo" --dir demo
    """
    scope, target = _scope_of(session, venue, firm)
    result = _ask(directory, "kill", scope=scope, target=target, level=level, reason=reason)
    _tell(result, as_json, f"{scope} {target}".strip())


@click.command()
@_scope
@_reason
@_directory
@_json
def resume(directory: Path, as_json: bool, session: str | None, venue: str | None, firm: bool, reason: str) -> None:
    """Let trading go on after a kill.

    \b
    Example:
      fixgw resume --session OMS44 --reason "fixed by the client" --dir demo
    """
    scope, target = _scope_of(session, venue, firm)
    result = _ask(directory, "resume", scope=scope, target=target, reason=reason)
    _tell(result, as_json, f"{scope} {target}".strip())


@click.command()
@click.argument("name")
@click.argument("action", type=click.Choice(["show", "set-seq", "reset", "logout", "enable", "disable"]))
@click.option("--next-sender", type=click.IntRange(1), help="set-seq: the next MsgSeqNum(34) that we send.")
@click.option("--next-target", type=click.IntRange(1), help="set-seq: the next MsgSeqNum(34) that we expect.")
@click.option("--reason", metavar="TEXT", help="Why (all but show); as in `fixgw cancel --help`.")
@_directory
@_json
def session(
    directory: Path,
    as_json: bool,
    name: str,
    action: str,
    next_sender: int | None,
    next_target: int | None,
    reason: str | None,
) -> None:
    """Show or change one FIX session: numbers, logout, enabled or not.

    \b
    Example:
      fixgw session OMS44 show --dir demo
      fixgw session OMS44 set-seq --next-target 120 --reason "agreed with the client" --dir demo
    """
    if action != "show":
        reason = _reason_or_ask(click.get_current_context(), click.Option(["--reason"]), reason)
    numbers = next_sender is not None or next_target is not None
    if numbers != (action == "set-seq"):
        raise click.UsageError("--next-sender or --next-target belong to set-seq, which needs at least one of them")
    result = _ask(
        directory,
        "session",
        name=name,
        action=action.replace("-", "_"),
        next_sender=next_sender,
        next_target=next_target,
        reason=reason,
    )
    _tell(result, as_json, f"session {name}")


def _fee(context: click.Context, parameter: click.Parameter, value: str | None, above_zero: bool = False) -> str | None:
    """A decimal, passed on as the exact text."""
    if value is None:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_finite() and (number > 0 or not above_zero):
        return format(number, "f")
    raise click.BadParameter(f"{value!r}, expected a number{' above zero' if above_zero else ''}", context, parameter)


_amount = functools.partial(_fee, above_zero=True)


@click.command()
@click.argument("order_id")
@click.option(
    "--as",
    "outcome",
    required=True,
    type=click.Choice(["not_placed", "canceled", "open", "fill", "bust", "correct"]),
    help="What became of it.",
)
@click.option("--evidence", required=True, metavar="TEXT", help="How you know; journaled with your name.")
@click.option("--trade-id", metavar="ID", help="fill, bust, correct: the venue's trade id.")
@click.option("--qty", metavar="QTY", callback=_amount, help="fill, correct: the quantity.")
@click.option("--px", metavar="PRICE", callback=_amount, help="fill, correct: the price.")
@click.option("--fee", metavar="FEE", callback=_fee, help="fill: its fee, below zero for a rebate; positions are net of it.")
@click.option("--fee-asset", metavar="ASSET", help="fill: what the fee was paid in, for example BTC.")
@_directory
@_json
def resolve(
    directory: Path,
    as_json: bool,
    order_id: str,
    outcome: str,
    evidence: str,
    trade_id: str | None,
    qty: str | None,
    px: str | None,
    fee: str | None,
    fee_asset: str | None,
) -> None:
    """Settle what the venue will not tell: an unknown outcome, a missing fill, a bust.

    \b
    Example:
      fixgw resolve A1B2C0010000042 --as not_placed --evidence "venue ticket 5512" --dir demo
    """
    needs = {"fill": (trade_id, qty, px), "correct": (trade_id, qty, px), "bust": (trade_id,)}.get(outcome, ())
    if None in needs:
        wanted = "--trade-id" if outcome == "bust" else "--trade-id, --qty and --px"
        raise click.UsageError(f"--as {outcome} needs {wanted}")
    if (fee is None) != (fee_asset is None) or (fee is not None and outcome != "fill"):
        raise click.UsageError("--fee and --fee-asset go together, with --as fill")
    trade = {"trade_id": trade_id, "qty": qty, "px": px, "fee": fee, "fee_asset": fee_asset}
    result = _ask(directory, "resolve", order_id=order_id, outcome=outcome, evidence=evidence, **trade)
    _tell(result, as_json, f"order {order_id}")
