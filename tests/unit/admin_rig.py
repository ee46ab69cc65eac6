"""The admin methods over a World of the core, behind a real socket, and the commands that ask there."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from click.testing import CliRunner, Result
from core_world import ACCOUNT, SYMBOL, World

from fixgw.admin.methods import admin_methods
from fixgw.admin.server import AdminServer
from fixgw.cli import main
from fixgw.config import Paths
from fixgw.core.state import State
from fixgw.journal.projection_watch import ProjectionState


class Engine:
    """What the admin methods need of the engine, over a World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.on_durable: list[Callable[..., None]] = []
        self.waiting = 0
        self.full = ""
        self.projection = ProjectionState(seq=0, behind=0, trouble="")
        subscribe = lambda after_seq, timeout_s: len(world.records)  # noqa: E731
        self.journal = SimpleNamespace(read=self._read, subscribe=subscribe, durable_seq=len(world.records))

    def _read(self, start: int) -> Iterator[tuple[int, bytes]]:
        return ((seq, payload) for seq, payload in enumerate(self.world.records, 1) if seq >= start)

    @property
    def state(self) -> State:
        return self.world.state

    def now_ns(self) -> int:
        return self.world.now_ns

    @property
    def durable_seq(self) -> int:
        return len(self.world.records)

    @contextmanager
    def reading(self) -> Iterator[State]:
        yield self.world.state


class Config:
    """Sessions, instruments and accounts of the World's settings."""

    def __init__(self, world: World, root: Path) -> None:
        self.paths = Paths(root)
        settings = world.settings
        self.firm_file = SimpleNamespace(firm="Demo", journal=SimpleNamespace(sync="commit"))
        self.sessions = {
            name: SimpleNamespace(
                name=name, role=item.role, begin_string="FIX.4.4", client_comp_id=name, enabled=True, appl_ver=None,
                scope=SimpleNamespace(sessions=tuple(item.scope_sessions), accounts=tuple(item.scope_accounts)),
                user_defined_fields="reject", codes="newest",
            )
            for name, item in settings.sessions.items()
        }  # fmt: skip

    def gateway_comp_id(self, session: object) -> str:
        return "FIXGW"

    def instrument_names(self) -> frozenset[str]:
        return frozenset((SYMBOL, "ETH/USDT"))

    def account_names(self) -> frozenset[str]:
        return frozenset((ACCOUNT,))


@contextmanager
def serving(root: Path, engine: Engine) -> Iterator[Path]:
    """The folder of an installation whose admin socket is answered."""
    (root / "run").mkdir(mode=0o700)
    acceptor, links = SimpleNamespace(status=lambda: []), SimpleNamespace(hosts=dict)
    methods = admin_methods(
        Config(engine.world, root), engine, acceptor, links, lambda: engine.full, lambda: engine.projection,  # type: ignore[arg-type]
        lambda: "",
    )
    server = AdminServer(root / "run" / "admin.sock", methods)
    server.start()
    try:
        yield root
    finally:
        server.close()


def fixgw(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--dir", str(directory)])


def told(directory: Path, *words: str) -> Any:
    result = fixgw(directory, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)
