"""The gateway's side of the admin protocol (protocol.py): reads are views of the state, writes are commands to the engine.

A read waits until what it shows is durable; a write answers once its record is.
"""

from __future__ import annotations

from collections.abc import Callable

from ..config import Config
from ..engine import Engine
from ..fix.acceptor import Acceptor
from ..journal.projection_watch import ProjectionState
from ..venues.gateway_link import VenueLinks
from .names import Names
from .reads import Reads
from .server import Method
from .session_actions import SessionActions
from .writes import Writes


def admin_methods(
    config: Config,
    engine: Engine,
    acceptor: Acceptor,
    links: VenueLinks,
    full_because: Callable[[], str],
    projection: Callable[[], ProjectionState],
    clock: Callable[[], str],
) -> dict[str, Method]:
    """Every method of protocol.METHODS by its name. `full_because`: why there is no room for new orders, "" while there is; what
    the engine refuses them by. `projection`: whether it keeps up. `clock`: what is wrong with it, or ""."""
    names = Names(config, engine)
    reads = Reads(config, engine, acceptor, links, names, full_because, projection, clock)
    sessions = SessionActions(engine, acceptor, names, reads.sessions)
    return reads.table() | Writes(engine).table() | sessions.table()
