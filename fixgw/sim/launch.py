"""Start a simulator as a process of its own, and point a client at it. For tests, chaos runs and demonstrations."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from fixgw.process import tied
from fixgw.sim.client import SimClient


class RunningSim:
    """A simulator process that is ready. Use as a context manager, or stop it."""

    def __init__(self, process: subprocess.Popen[bytes], host: str, port: int) -> None:
        self.process = process
        self.host = host
        self.port = port
        self.client = SimClient(host, port)

    def __enter__(self) -> RunningSim:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self, timeout_s: float = 10.0) -> int:
        """SIGTERM and wait; SIGKILL when it does not end. Returns the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL and wait."""
        self.process.kill()
        return self.process.wait(10.0)


def launch(directory: Path, *options: str, timeout_s: float = 60.0) -> RunningSim:
    """Start `python -m fixgw.sim --dir directory *options` and wait until it is ready.

    Raises RuntimeError with what it printed when it ends or is not ready in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ready, output = directory / "ready.json", directory / "output.txt"
    ready.unlink(missing_ok=True)
    command = [*tied("fixgw.sim"), "--dir", str(directory), "--ready-file", str(ready), *options]
    with output.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + timeout_s
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait(10.0)
            raise RuntimeError(f"simulator did not start: {output.read_text(errors='replace').strip()}")
        time.sleep(0.02)
    told = json.loads(ready.read_text())
    return RunningSim(process, told["host"], told["port"])


def local_urls(urls: Any, host: str, port: int) -> Any:
    """ccxt's urls['api'] of binance with every host replaced by the simulator (pure: returns a copy)."""
    if isinstance(urls, dict):
        out = {name: local_urls(value, host, port) for name, value in urls.items()}
        ws = out.get("ws")
        if isinstance(ws, dict) and "spot" in ws:
            ws["spot"] = f"ws://{host}:{port}/stream/ws"
        return out
    if not isinstance(urls, str):
        return urls
    return re.sub(r"^(http|ws)s?://[^/]+", rf"\1://{host}:{port}", urls)
