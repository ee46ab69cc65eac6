"""Who takes part: a gateway (gateway process, venue host) or a reference acceptor, each with a front of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from ..config import Config
from ..process import tied
from ..supervisor.plan import Plan
from .firm import make_firm

READY_S = 60.0


class BenchError(Exception):
    """A process did not come up or ended too early, or an answer was not what was expected; the text says which."""


class Party:
    """The processes of one party; `port` is its front's."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.port = 0
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def spawn(self, what: str, argv: list[str], is_ready: Callable[[int], bool], env: Mapping[str, str] | None = None) -> int:
        """Start a process (`argv`: python ... -m MODULE ARGS) that ends with this one, and wait until it is ready; its pid.
        `env`: what it gets besides. Raises BenchError."""
        module, *args = argv[argv.index("-m") + 1 :]
        log = self.directory / f"{what}.out"
        with log.open("ab") as output:
            process = subprocess.Popen(
                tied(module, *args), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**environment(self.directory.parent), **(env or {})},
            )  # fmt: skip
        self._processes.append((what, process))
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if is_ready(process.pid):
                return process.pid
            if process.poll() is not None:
                tail = log.read_text(errors="replace")[-1500:]
                raise BenchError(f"{self.name}: {what} ended with {process.returncode}:\n{tail}")
            time.sleep(0.02)
        raise BenchError(f"{self.name}: {what} was not ready within {READY_S:.0f} s, see {log}")

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by process."""
        tick = os.sysconf("SC_CLK_TCK")
        used = {}
        for what, process in self._processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
            used[what] = (int(fields[11]) + int(fields[12])) / tick
        return used

    def check(self) -> None:
        """Raises BenchError when one of the processes has ended."""
        for what, process in self._processes:
            if process.poll() is not None:
                raise BenchError(f"{self.name}: {what} ended with {process.returncode}, see {self.directory / what}.out")

    def stop(self, timeout_s: float = 20.0) -> None:
        """SIGTERM in the reverse order, then SIGKILL."""
        for _, process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self._processes = []


def start_gateway(party: Party, sync: str, module: str = "fixgw.app") -> int:
    """The gateway process, its venue host and its front, as `fixgw run` starts them; the gateway's pid. `module`: what to
    run as gateway."""
    config = make_firm(party.directory, sync)
    children = {child.name: child for child in Plan(config).children()}
    pids = {}
    for name in ("gateway", *sorted(name for name in children if name.startswith("venue:")), "front"):
        child = children[name]
        argv = [module if part == "fixgw.app" else part for part in child.argv()]
        pids[name] = party.spawn(name.replace(":", "-"), argv, child.ready, child.env)
    party.port = _port(config.paths.front_ready)
    return pids["gateway"]


def start_reference(party: Party) -> None:
    """The bare acceptor that the party is named for, and a front of the same code and the same settings as the gateway's."""
    config = make_firm(party.directory)
    ready, port = party.directory / "reference.json", _free_port()
    argv = [sys.executable, "-m", "fixgw.bench.reference", "--port", str(port), "--store", str(config.paths.data / "fix")]
    argv += ["--ready-file", str(ready)]
    if party.name == "floor":
        argv += ["--relay"]
    if party.name == "r2":
        argv += ["--sync-file", str(config.paths.data / "synced")]
    party.spawn("reference", argv, lambda pid: _pid(ready) == pid)
    _start_front(party, config, port)


def _start_front(party: Party, config: Config, backend: int) -> None:
    paths = config.paths
    paths.front_sessions.write_text(json.dumps(config.front_sessions()))
    argv = [sys.executable, "-m", "fixgw.fix.front", "--listen", "127.0.0.1:0", "--backend", f"127.0.0.1:{backend}"]
    argv += ["--sessions", str(paths.front_sessions), "--ready-file", str(paths.front_ready)]
    party.spawn("front", argv, lambda pid: _pid(paths.front_ready) == pid)
    party.port = _port(paths.front_ready)


def environment(directory: Path) -> dict[str, str]:
    """Ours, with compiled bytecode kept below `directory`, as it is in an installation, even where Python is told to write
    none."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(directory / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


@contextlib.contextmanager
def spinner() -> Iterator[None]:
    """A process of nice 19 that never sleeps: on an idle virtual machine each sync may wait for a timer tick, 4 ms. Just one,
    and not bound to a core: with one on every core it was the syncs of the measured processes that waited."""
    ends_with_us = f"from fixgw.process import die_with_parent; die_with_parent(parent={os.getpid()})"
    code = f"import os; {ends_with_us}; os.nice(19)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait(5)


def _pid(path: Path) -> int:
    """The pid in a ready file; 0 while there is none."""
    try:
        return int(msgspec.json.decode(path.read_bytes())["pid"])
    except (OSError, msgspec.MsgspecError, KeyError):
        return 0


def _port(path: Path) -> int:
    return int(json.loads(path.read_text())["port"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_count() -> int:
    """Cores that we may use."""
    return len(os.sched_getaffinity(0))
