"""Which processes a configuration needs, how each is started, and how each tells that it is ready."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from ..admin.client import AdminClient, NotRunning
from ..admin.protocol import AdminError
from ..config import Config
from ..config.paths import DIRECTORY_MODE
from ..process import PYTHON
from ..venues.settings import VenueConfigError, VenueFileSettings
from .child import Child

# a gateway that ended so will end so again: configuration error, journal damaged or locked, disk, a fault of ours; what to do
GATEWAY_FATAL: Final = {
    3: "`fixgw check DIR` says what is wrong",
    4: "`fixgw journal verify DIR` says what is wrong with the journal. If it is damaged: keep a copy of DIR/data, cut nothing "
    'by hand, and restore the file that is named; README.md, "When the journal refuses to start", tells how',
    5: "make room on the disk of DIR/data, or mend it, and run again: what was told to anybody is in the journal",
    6: "a fault of fixgw: keep DIR/log and a copy of DIR/data for its makers; `fixgw journal tail DIR` shows the last records",
}
# a venue host whose configuration cannot be used; started again all the same, because a key file may come back
HOST_UNUSABLE: Final = frozenset({2})
# without its venue the gateway is up and says so to clients; the others do not wait for it longer than this
VENUE_READY_S: Final = 20.0
# for `fixgw chaos` and `soak` only: other modules in the place of the gateway's and the venue hosts', and another bound of the
# restart back-off, in seconds
GATEWAY_MODULE_ENV: Final = "FIXGW_GATEWAY_MODULE"
VENUE_MODULE_ENV: Final = "FIXGW_VENUE_MODULE"
BACKOFF_MAX_ENV: Final = "FIXGW_BACKOFF_MAX_S"
_STATUS_TIMEOUT_S: Final = 2.0


class PlanError(Exception):
    """A process cannot be started as configured; the text says why."""


class Plan:
    """The children in the order of their start. Addresses that were picked at the first start are kept."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._paths = config.paths
        self._front_port = config.firm_file.fix.listen_port
        simulator = config.firm_file.simulator
        self.simulator = simulator if simulator is not None and simulator.enabled else None
        self._simulator_port = 0 if self.simulator is None else self.simulator.port

    def children(self) -> list[Child]:
        """Everything, not started. Files that children read are written when they are started."""
        first: list[Child] = []
        if self.simulator is not None:
            first.append(self._child("simulator", self._simulator_argv, self._simulator_ready))
        gateway = self._child("gateway", self._gateway_argv, self._gateway_ready, after=tuple(c.name for c in first))
        gateway.grace_s, gateway.fatal = 20.0, GATEWAY_FATAL
        # one heap for all threads: glibc would give each connection's thread an arena that fragments and grows by itself,
        # while what the start left free lies idle
        gateway.env = {"MALLOC_ARENA_MAX": "1", **gateway.env}
        venues = []
        for name in sorted(self.config.venues):
            child = self._child(f"venue:{name}", self._venue_argv(name), self._venue_ready(name), after=("gateway",))
            child.env = {"MALLOC_ARENA_MAX": "1", **self._environment(name)}
            child.needed, child.ready_within_s = False, VENUE_READY_S
            child.unusable = HOST_UNUSABLE
            child.mend = f"mend venues/{name}.toml, or what it refers to: `fixgw check {self._paths.root}`"
            venues.append(child)
        after = ("gateway", *(child.name for child in venues))
        return [*first, gateway, *venues, self._child("front", self._front_argv, self._front_ready, after=after)]

    def _child(
        self,
        name: str,
        argv: Callable[[], list[str]],
        ready: Callable[[int], bool],
        after: tuple[str, ...] = (),
    ) -> Child:
        log = self._paths.log / f"{name.replace(':', '-')}.log"
        child = Child(name, argv, ready, log, self._environment(None), after)
        child.backoff_max_s = float(os.environ.get(BACKOFF_MAX_ENV, child.backoff_max_s))
        return child

    def _environment(self, venue: str | None) -> dict[str, str]:
        """Our environment without the keys of venues; a venue's host gets its own (and only these)."""
        env = dict(os.environ)
        # our own package must be found whatever the working directory, and logs must not wait in a buffer
        env["PYTHONUNBUFFERED"] = "1"
        for name, settings in self.config.venues.items():
            if name != venue:
                for place in settings.references():
                    env.pop(place.env, None)
        if venue is not None:
            own = self.config.venues[venue]
            for place in own.references():
                if place.env in os.environ:
                    env[place.env] = os.environ[place.env]
        return env

    def make_run_folder(self) -> None:
        """Raises OSError."""
        self._paths.run.mkdir(mode=DIRECTORY_MODE, exist_ok=True)

    def addresses(self) -> dict[str, Any]:
        """What run/ready.json tells besides the pids."""
        told: dict[str, Any] = {
            "fix": {"host": self.config.firm_file.fix.listen_host, "port": self._front_port},
            "admin": str(self._paths.admin_socket),
        }
        if self.simulator is not None:
            told["simulator"] = {"host": "127.0.0.1", "port": self._simulator_port}
        return told

    def _simulator_argv(self) -> list[str]:
        assert self.simulator is not None
        settings, paths = self.simulator, self._paths
        venue = self.config.venues[settings.venue]
        try:
            key, secret = venue.credential("apiKey"), venue.credential("secret")
        except VenueConfigError as error:
            raise PlanError(str(error)) from error
        balances = {asset: format(amount, "f") for asset, amount in settings.balances.items() if amount}
        account = {"name": venue.account, "key": key, "secret": secret, "balances": balances}
        accounts = paths.run / "simulator_accounts.json"
        write_changed(accounts, json_text({"accounts": [account]}))
        paths.simulator.mkdir(mode=0o700, exist_ok=True)
        argv = [*PYTHON, "-m", "fixgw.sim", "--host", "127.0.0.1", "--port", str(self._simulator_port)]
        argv += ["--dir", str(paths.simulator), "--liquidity", settings.liquidity, "--seed", str(settings.seed)]
        argv += ["--accounts", str(accounts), "--ready-file", str(paths.simulator_ready)]
        for symbol in venue.symbols:
            argv += ["--symbol", symbol]
        if settings.replay is not None:
            argv += ["--replay", str(paths.root / settings.replay)]
        return argv

    def _simulator_ready(self, pid: int) -> bool:
        told = _read_ready(self._paths.simulator_ready, pid)
        if told is None:
            return False
        self._simulator_port = int(told["port"])
        return True

    def _gateway_argv(self) -> list[str]:
        return [*PYTHON, "-m", os.environ.get(GATEWAY_MODULE_ENV, "fixgw.app"), str(self._paths.root)]

    def _gateway_ready(self, pid: int) -> bool:
        return _read_ready(self._paths.gateway_ready, pid) is not None

    def _venue_argv(self, name: str) -> Callable[[], list[str]]:
        def argv() -> list[str]:
            settings = self.config.venues[name]
            if self.simulator is not None and self.simulator.venue == name:
                url = f"http://127.0.0.1:{self._simulator_port}"
                settings = settings.model_copy(update={"base_url": url})
            folder = self._paths.run / "venues"
            self.make_run_folder()
            folder.mkdir(mode=0o700, exist_ok=True)
            file = folder / f"{name}.toml"
            write_changed(file, venue_toml(settings))
            command = [*PYTHON, "-m", os.environ.get(VENUE_MODULE_ENV, "fixgw.venues.host"), "--config", str(file)]
            return [*command, "--socket", str(self._paths.venues_socket), "--name", name]

        return argv

    def _venue_ready(self, name: str) -> Callable[[int], bool]:
        def ready(pid: int) -> bool:
            try:
                with AdminClient(self._paths.admin_socket, user="supervisor", timeout_s=_STATUS_TIMEOUT_S) as client:
                    status = client.call("status")
            except (NotRunning, AdminError):
                return False
            venues = status.get("venues", ()) if isinstance(status, dict) else ()
            return any(v.get("name") == name and v.get("host_pid", pid) == pid and v.get("state") == "READY" for v in venues)

        return ready

    def _front_argv(self) -> list[str]:
        fix, paths = self.config.firm_file.fix, self._paths
        write_changed(paths.front_sessions, json_text(self.config.front_sessions()))
        argv = [*PYTHON, "-m", "fixgw.fix.front", "--listen", f"{fix.listen_host}:{self._front_port}"]
        argv += ["--backend", str(paths.fix_socket), "--sessions", str(paths.front_sessions)]
        return [*argv, "--ready-file", str(paths.front_ready)]

    def _front_ready(self, pid: int) -> bool:
        told = _read_ready(self._paths.front_ready, pid)
        if told is None:
            return False
        self._front_port = int(told["port"])
        return True


def _read_ready(path: Path, pid: int) -> dict[str, Any] | None:
    """A ready file, if it is of this very process (and not of one before it)."""
    try:
        told = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return None
    return told if told.get("pid") == pid else None


def write_atomic(path: Path, text: str) -> None:
    """Replace a file (mode 0600) so that a reader sees the old or the new one, never a part. Raises OSError with the file's
    name; then nothing is left of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        # a failed write does not say where
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_changed(path: Path, text: str) -> None:
    """write_atomic, unless the file holds just this: what was started once can be started again on a full disk."""
    try:
        if path.read_bytes() == text.encode():
            return
    except OSError:
        pass
    write_atomic(path, text)


def json_text(content: object) -> str:
    """As files in run/ have it."""
    return json.dumps(content, indent=2) + "\n"


def write_json(path: Path, content: object) -> None:
    """write_atomic of JSON."""
    write_atomic(path, json_text(content))


def venue_toml(settings: VenueFileSettings) -> str:
    """A venue file with the same content as `settings`; defaults are left out."""
    content = settings.model_dump(exclude_defaults=True)
    return "# written by `fixgw run`; edit venues/ instead\n" + "".join(
        f"{_toml_key(key)} = {_toml(value)}\n" for key, value in content.items()
    )


def _toml(value: Any) -> str:
    """One value as TOML. JSON's strings are TOML's; a Decimal becomes text, which stays exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return json.dumps(format(value, "f"))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)
