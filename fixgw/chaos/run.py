"""One chaos run: three trading sessions and a drop copy, havoc, calm, judgement."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..fix.client import FixClient
from ..sim.client import SimError
from .check import Verdict, judge
from .havoc import Havoc
from .load import Load, wait_quiet
from .traps import PLANTED
from .witness import Client, Hearing, Journaled, read_journal
from .world import World

SESSIONS = ("OMS42", "OMS44", "OMS50")
DROP_COPY = "PB44"
UP_S = 60.0
SETTLE_S = 150.0
QUIET_S = 3.0
# a trade of the moment has reached all who hear of it by then
TAKE_S = 1.0
TAKES = 20
# a planted bug comes by its trap with nearly every order, or with the next trade
PLANTED_S = 30.0


class Outcome(msgspec.Struct):
    """`kills`: how many there were, fewer than asked for where the run was interrupted or a part stayed away; `died`: parts that
    ended by themselves, and what went wrong in the clients; `at_traps`: kills at each step of the order path. `plant_met`: the
    gateway died just where the planted bug shows."""

    verdict: Verdict
    kills: int
    faults: int
    at_traps: dict[str, int]
    died: list[str]
    seconds: float
    plant_met: bool = False
    interrupted: bool = False


def run_chaos(
    directory: Path,
    kills: int,
    seed: int,
    rate_per_s: float,
    targets: tuple[str, ...],
    say: Callable[[str], None],
    plant: str = "",
) -> Outcome:
    """Kill `kills` times under load (`rate_per_s` over all sessions), with faults of the exchange, and judge. With a plant
    (plants.py) once more, at the step where it shows."""
    began = time.monotonic()
    with World(directory, traps=True, plant=plant) as world:
        world.wait_venue()
        hearings = {name: Hearing() for name in (*SESSIONS, DROP_COPY)}
        clients = {
            name: world.client(name, directory / "clients", qualifier="chaos", on_message=hearing.hear, inbox_max=1000)
            for name, hearing in hearings.items()
        }
        loads = {
            name: Load(clients[name], seed * 1000 + number, rate_per_s / len(SESSIONS)) for number, name in enumerate(SESSIONS)
        }
        havoc = Havoc(world, targets, seed)
        try:
            for client in clients.values():
                client.start()
            for client in clients.values():
                client.wait_logon(20)
            for load in loads.values():
                load.start()
            struck, interrupted = 0, False
            try:
                for number in range(1, kills + 1):
                    struck += _strike(world, havoc, clients, number, kills, loads, say)
            except KeyboardInterrupt:
                say("interrupted: judging what there is (once more: give up)")
                interrupted = True
            with contextlib.suppress(TimeoutError):  # then settling will not come to an end either, and says so
                _wait_up(world, clients)
            met = bool(plant) and _meet_plant(world, clients, say)
            time.sleep(1.0)
            for load in loads.values():
                load.stop()
            settled = _settle(world, clients, hearings, say)
            witnesses = [Client(name, hearings[name], load.requests) for name, load in loads.items()]
            journal, ledger = _take_down(world, directory, hearings)
            verdict = judge(ledger, journal, witnesses, hearings[DROP_COPY], "main")
            if settled:
                verdict.add("stuck", settled)
            died = world.unplanned_exits() + [error for client in clients.values() for error in map(repr, client.errors)]
            died += [error for load in loads.values() for error in load.errors]
            took_s = time.monotonic() - began
            return Outcome(verdict, struck, havoc.faults, havoc.sprung, died, took_s, met, interrupted)
        finally:
            for client in clients.values():
                client.stop(logout=False)


def _strike(
    world: World,
    havoc: Havoc,
    clients: dict[str, FixClient],
    number: int,
    kills: int,
    loads: dict[str, Load],
    say: Callable[[str], None],
) -> bool:
    """A fault perhaps, a kill, and perhaps a wait until all is up and trading. False: what was to be killed did not come up."""
    fault = havoc.fault()
    time.sleep(havoc.pause_s())
    try:
        what = havoc.kill()
    except TimeoutError as error:
        say(str(error))
        return False
    sent = sum(load.sent for load in loads.values())
    say(f"kill {number}/{kills}: {what}{f', after {fault}' if fault else ''}; {sent} requests sent")
    if havoc.patient():
        try:
            _wait_up(world, clients)
        except TimeoutError as error:
            say(str(error))  # the end of the run tells whether it ever came up
    return True


def _meet_plant(world: World, clients: dict[str, FixClient], say: Callable[[str], None]) -> bool:
    """Without faults in between: let the gateway die where the planted bug shows. False: it did not. It is to come up again, but
    where the bug has lost a session's numbers its client may not get in any more."""
    met = False
    with contextlib.suppress(SimError, OSError):
        world.sim().clear_faults()
    try:
        _wait_up(world, clients)
        met = bool(world.kill_at(PLANTED, 1, PLANTED_S))
        say("killed where the planted bug shows" if met else f"the planted bug did not show within {PLANTED_S:g} s")
        _wait_up(world, clients)
    except TimeoutError as error:
        say(str(error))
    return met


def _wait_up(world: World, clients: dict[str, FixClient]) -> None:
    """Until all parts are there again, the venue is ready and every client is logged on."""

    def up() -> bool:
        return all(client.logged_on for client in clients.values()) and world.all_up()

    world.wait("all parts are up, all clients logged on", up, UP_S)


def _take_down(world: World, directory: Path, hearings: dict[str, Hearing]) -> tuple[Journaled, list[dict[str, Any]]]:
    """The journal and the exchange's ledger as of one moment with what was heard: what still works may trade at any time, and
    what comes in between is in the one and not in the other."""
    for _ in range(TAKES):
        heard = sum(map(len, hearings.values()))
        journal, ledger = read_journal(directory / "data" / "journal"), list(world.sim().ledger())
        time.sleep(TAKE_S)
        if heard == sum(map(len, hearings.values())):
            break
    return journal, ledger


def _settle(world: World, clients: dict[str, FixClient], hearings: dict[str, Hearing], say: Callable[[str], None]) -> str:
    """No more faults; until nothing is unknown and nobody hears anything new. What did not happen, or ""."""
    say("settling")
    with contextlib.suppress(SimError, OSError):
        world.sim().clear_faults()
    try:
        world.wait_venue(SETTLE_S)
        _wait_up(world, clients)
        if not wait_quiet(hearings.values(), QUIET_S, SETTLE_S):
            return f"reports still came after {SETTLE_S} s without a request"
        world.wait_venue(SETTLE_S)
    except TimeoutError as error:
        return str(error)
    return ""
