"""The whole stack once for all conversations: supervisor, simulator, venue host with the real ccxt, gateway and front.

The sessions are those of `fixgw init --demo`; only the venue's time limits are shorter, so that what times out does so
soon. Every test leaves the stack as it found it: no open orders, no faults, no kill switches, prices at 60000.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Conversation
from dialogue import VERSIONS, Desk
from stack import await_ready, fixgw, running

from fixgw.admin.client import AdminClient
from fixgw.admin.protocol import AdminError
from fixgw.sim.client import SimClient

# how long the venue may still accept a request after it was sent (longer than the delays of the rows), and how long its
# host waits for an answer
RECV_WINDOW_MS, REQUEST_TIMEOUT_MS, MARGIN_MS = 3000, 3200, 100


def _prepare(root: Path) -> None:
    subprocess.run(fixgw("init", str(root), "--demo"), check=True, capture_output=True, timeout=60)
    venue = root / "venues" / "sim.toml"
    text = venue.read_text()
    assert "recv_window_ms = 5000" in text
    short = f"recv_window_ms = {RECV_WINDOW_MS}\nrequest_timeout_ms = {REQUEST_TIMEOUT_MS}"
    venue.write_text(text.replace("recv_window_ms = 5000", short))
    firm = root / "fixgw.toml"
    text = firm.read_text()
    assert "margin_ms = 1000" in text
    firm.write_text(text.replace("margin_ms = 1000", f"margin_ms = {MARGIN_MS}"))
    for session in (root / "sessions").glob("OMS*.toml"):
        # many rows begin with the same order
        session.write_text(re.sub(r"repeat_max = \d+", "repeat_max = 60", session.read_text()))


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The content of the ready file while everything runs; the folder under "dir"."""
    root = tmp_path_factory.mktemp("conversation") / "firm"
    _prepare(root)
    with running(root) as told:
        yield told


@pytest.fixture(scope="session")
def sim(ready: dict[str, Any]) -> SimClient:
    return SimClient(ready["simulator"]["host"], ready["simulator"]["port"])


@pytest.fixture(scope="session")
def admin(ready: dict[str, Any]) -> Iterator[AdminClient]:
    with AdminClient(ready["admin"], user="conversation") as client:
        yield client


@pytest.fixture(scope="session")
def clients(ready: dict[str, Any], admin: AdminClient) -> Iterator[dict[str, Conversation]]:
    """Version name -> the client of that version, "copy" -> the drop copy's, all logged on."""
    address = (ready["fix"]["host"], ready["fix"]["port"])
    made = {name: Conversation(address, version.begin, version.comp_id) for name, version in VERSIONS.items()}
    made["copy"] = Conversation(address, "FIX.4.4", "PB44")
    for client in made.values():
        client.connect()
    await_ready(admin)
    yield made
    for client in made.values():
        client.logout()


@pytest.fixture
def clean(admin: AdminClient, sim: SimClient) -> Iterator[None]:
    """Leaves the stack as it was."""
    yield
    sim.clear_faults()
    for scope, target in (("firm", None), ("venue", "sim"), *(("session", v.comp_id) for v in VERSIONS.values())):
        admin.call("resume", scope=scope, target=target, reason="end of the test")
    deadline = time.monotonic() + 30
    asked: set[str] = set()
    while orders := admin.call("orders", open=True)["orders"]:
        for order in orders:
            if order["order_id"] not in asked:
                asked.add(order["order_id"])
                with contextlib.suppress(AdminError):  # finished, or being canceled, by now
                    admin.call("cancel", order_id=order["order_id"], reason="left over by a test")
        assert time.monotonic() < deadline, f"cannot be canceled: {orders}"
        time.sleep(0.05)
    await_ready(admin)


@pytest.fixture(params=list(VERSIONS))
def desk(
    request: pytest.FixtureRequest, clients: dict[str, Conversation], sim: SimClient, admin: AdminClient, clean: None
) -> Iterator[Desk]:
    """One FIX version's client with everything around it; once per version."""
    for client in (clients[request.param], clients["copy"]):
        client.deaf = False
        if not client.connected:  # left so by a test that failed
            client.connect()
    made = Desk(VERSIONS[request.param], clients[request.param], clients["copy"], sim, admin)
    yield made
