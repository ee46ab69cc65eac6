"""A message rate of the firm, over FIX: two counterparties have it together. A stack of its own, because what is used up here
would be missing elsewhere. The firm takes 12 messages at once and one a second."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client import Conversation, Fields, utc
from stack import await_ready, fixgw, running

from fixgw.admin.client import AdminClient

FIRM_BURST = 12
SENT = 40


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    root = tmp_path_factory.mktemp("rate") / "firm"
    subprocess.run(fixgw("init", str(root), "--demo"), check=True, capture_output=True, timeout=60)
    file = root / "fixgw.toml"
    text, count = re.subn(r"msgs_per_s = \d+", "msgs_per_s = 1", file.read_text())
    text, more = re.subn(r"msg_burst = \d+", f"msg_burst = {FIRM_BURST}", text)
    assert (count, more) == (1, 1)
    file.write_text(text)
    with running(root) as told:
        yield told


def order(client: Conversation, name: str) -> None:
    client.send("D", [
        (11, name), (21, "1"), (55, "BTC/USDT"), (54, "1"), (40, "2"), (59, "1"), (38, "0.01"), (44, "59000"), (60, utc()),
    ])  # fmt: skip


def answers(client: Conversation, names: list[str]) -> dict[str, Fields]:
    """ClOrdID -> the first answer to each."""

    def first() -> dict[str, Fields]:
        found: dict[str, Fields] = {}
        for message in client.seen:
            found.setdefault(message.get(379 if message[35] == "j" else 11, ""), message)
        return {name: found[name] for name in names if name in found}

    client.wait(lambda: len(first()) == len(names), "an answer to each")
    return first()


def test_two_sessions_have_the_rate_of_the_firm_together(firm: dict[str, Any]) -> None:
    address = (firm["fix"]["host"], firm["fix"]["port"])
    one, two = Conversation(address, "FIX.4.4", "OMS44"), Conversation(address, "FIX.4.2", "OMS42")
    with AdminClient(firm["admin"], user="conversation") as admin:
        await_ready(admin)
        for client in (one, two):
            client.connect()
        began = time.monotonic()
        names: dict[str, list[str]] = {"OMS44": [], "OMS42": []}
        for number in range(SENT):
            client = (one, two)[number % 2]
            names[client.comp_id].append(f"{client.comp_id}-{number}")
            order(client, names[client.comp_id][-1])
        told = [*answers(one, names["OMS44"]).values(), *answers(two, names["OMS42"]).values()]
        passed_s = time.monotonic() - began
        taken = [message for message in told if message[35] == "8"]
        refused = [message for message in told if message[35] == "j"]
        assert all(message[39] == "A" for message in taken)
        assert FIRM_BURST <= len(taken) <= FIRM_BURST + passed_s + 1 and len(taken) + len(refused) == SENT
        # neither alone came near a rate of its own (500 a second)
        assert {message[56] for message in refused} == {"OMS44", "OMS42"} == {message[56] for message in taken}
        for message in refused:
            assert (message[380], message[372], message[20001], message[20002]) == ("8", "D", "THROTTLE", "35")
            assert (message[20003], message[20004]) == ("D", f"1/s burst {FIRM_BURST}")
            assert f"firm: more messages than 1/s burst {FIRM_BURST}; the next one fits in " in message[58]
        rows = {(row["scope"], row["limit"]): row for row in admin.call("limits", session="OMS44")["limits"]}
        used = rows["firm", "msg_burst"]
        passed_s = time.monotonic() - began
        assert int(used["max"]) == FIRM_BURST and FIRM_BURST - passed_s - 2 <= int(used["used"]) <= FIRM_BURST
        # a cancel is never refused
        working = next(message for message in taken if message[56] == "OMS42")
        two.send("F", [(11, "x"), (41, working[11]), (55, "BTC/USDT"), (54, "1"), (38, "0.01"), (60, utc())])
        two.wait(lambda: any(m.get(11) == "x" and m[39] == "4" for m in two.seen), "the cancel")
        # and whoever waits gets a place
        tries = 0

        def again() -> bool:
            nonlocal tries
            tries += 1
            order(one, f"later-{tries}")
            return answers(one, [f"later-{tries}"])[f"later-{tries}"][35] == "8"

        deadline = time.monotonic() + 10
        while not again():
            assert time.monotonic() < deadline, "no place within 10 s"
            time.sleep(0.1)
        for client in (one, two):
            client.logout()
