"""Message rates and limits of repeats per session, account and firm, through the whole core. How to read the stories:
core_script.py. The world checks on the way that decide changes nothing and that a replay of what is journaled has the same hash.

Two sessions share the account main, which is OMS42's only one; OMS44 reaches the account spare as well.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from core_script import Script, play
from core_world import ACCOUNT, SECOND, SYMBOL, VENUE, World, core_settings, session_settings

from fixgw.admin.views import limit_rows
from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.codec import decode_record
from fixgw.core.evolve import evolve
from fixgw.core.pace import places_taken
from fixgw.core.reports import BusinessReject, CancelReject, Report
from fixgw.core.state import dump_state, load_state
from fixgw.core.statehash import state_hash

SPARE = "spare"


def core(
    *, oms44: dict[str, Any] | None = None, oms42: dict[str, Any] | None = None, main: dict[str, Any] | None = None,
    spare: dict[str, Any] | None = None, firm: dict[str, Any] | None = None, **fields: Any,
) -> s.CoreSettings:  # fmt: skip
    limits = [s.Limits(**(given or {})) for given in (oms44, oms42, main, spare, firm)]
    reach = {"": ACCOUNT, SPARE: SPARE}
    return core_settings(
        sessions={
            "OMS44": session_settings("OMS44", limits=limits[0], accounts=reach),
            "OMS42": session_settings("OMS42", limits=limits[1]),
            "PB44": s.SessionSettings(name="PB44", role="drop_copy", scope_sessions=frozenset("*")),
        },
        accounts={
            name: s.AccountSettings(name=name, venue=VENUE, venue_account=f"acc-{number}", limits=limits[2 + number - 1])
            for number, name in enumerate((ACCOUNT, SPARE), 1)
        },
        firm=limits[4],
        risk_stages=("session_state", "throttle", "repeated_order"),
        **fields,
    )


def rate(per_s: int, burst: int) -> dict[str, Any]:
    return {"msg_rate": per_s, "msg_burst": burst}


def repeat(most: int, window_ns: int = SECOND) -> dict[str, Any]:
    return {"repeat_max": most, "repeat_window_ns": window_ns}


def unusable(world: World, request: Any, msg_type: str = "D", session: str = "OMS44") -> list[e.AnyEvent]:
    """The events of a message that cannot be used, of which `request` could be read."""
    return world.run(world.client(
        c.Unsupported, session, msg_type=msg_type, reason="INVALID_VALUE", business_reason=0, tag=11, limit="another value",
        request=request,
    ))


def replacing(world: World, orig: str) -> c.ClientCommand:
    return world.client(c.ReplaceOrder, cl_ord_id="b", orig_cl_ord_id=orig, symbol="?", side="1", ord_type="2")


def rows(script: Script, limit: str) -> dict[str, tuple[object, object]]:
    """scope or name -> (used, max), as `fixgw limits` has it."""
    found = limit_rows(script.world.state, "", script.world.now_ns)
    return {str(row["name"] or row["scope"]): (row["used"], row["max"]) for row in found if row["limit"] == limit}


# --- the message rate ---


def test_two_sessions_have_the_rate_of_the_firm_together() -> None:
    script = Script(World(core(firm=rate(1, 3))))
    assert script.line("new a buy 1 @100")[0] == "A A a 0/1"
    assert script.line("new b buy 1 @100 as=OMS42")[0] == "A A b 0/1"
    assert script.line("new c buy 1 @100")[0] == "A A c 0/1"
    for session in ("OMS44", "OMS42"):
        assert script.line(f"new d buy 1 @100 as={session}") == ["j THROTTLE"]
        (reject,) = script.told
        assert isinstance(reject, BusinessReject)
        assert (reject.reason_tag, reject.reason_value, reject.reason_limit) == (35, "D", "1/s burst 3")
        assert reject.text.startswith("firm: more messages than 1/s burst 3; the next one fits in 9")
    script.line("+1s")
    assert script.line("new d buy 1 @100 as=OMS42")[0] == "A A d 0/1"


def test_a_replace_must_fit_too_and_a_cancel_always_does() -> None:
    play(
        """
        new a buy 1 @100                  | A A a 0/1; place C1 1@100 GTC
        new b buy 1 @100 as=OMS42         | A A b 0/1; place C2 1@100 GTC
        replace r b 2 @100 as=OMS42       | 9.2 A r<b THROTTLE
        cancel x a                        | cancel C1; 6 6 x<a 0/1
        cancel y b as=OMS42               | cancel C2; 6 6 y<b 0/1
        status a                          | ?I 6 a 0/1
        """,
        World(core(firm=rate(1, 2))),
    )


def test_of_several_scopes_the_one_that_is_full_for_longest_is_named() -> None:
    script = Script(World(core(oms44=rate(10, 1), main=rate(1, 1), firm=rate(5, 1))))
    script.line("new a buy 1 @100")
    assert script.line("new b buy 1 @100") == ["j THROTTLE"]
    (reject,) = script.told
    assert isinstance(reject, BusinessReject) and reject.text == (
        "account main: more messages than 1/s burst 1; the next one fits in 999 ms"
    )


@pytest.mark.parametrize("scope", ["oms44", "main", "firm"])
def test_what_one_scope_refuses_takes_no_place_in_the_others(scope: str) -> None:
    """OMS44 floods; its own rate, the account's or the firm's stops it after two."""
    wide = rate(1, 10)
    given = {name: wide for name in ("oms44", "main", "firm")} | {scope: rate(1, 2)}
    script = Script(World(core(**given)))
    answers = [script.line(f"new a{number} buy 1 @100")[0] for number in range(50)]
    assert [answer[0] for answer in answers] == ["A"] * 2 + ["j"] * 48
    names = {"oms44": "OMS44", "main": ACCOUNT, "firm": "firm"}
    assert rows(script, "msg_burst") == {names[name]: (2, limits["msg_burst"]) for name, limits in given.items()}
    # so the others are left what is theirs
    assert (script.line("new b buy 1 @100 as=OMS42")[0] == "j THROTTLE") == (scope != "oms44")


def test_a_cancel_counts_where_it_fits_everywhere_and_is_never_refused() -> None:
    script = Script(World(core(oms44=rate(1, 2), firm=rate(1, 5))))
    script.line("new a buy 1 @100")
    for number in range(6):  # the first fits
        assert script.line(f"cancel x{number} nosuch") == [f"9.1 8 x{number}<nosuch UNKNOWN_ORDER"]
    assert rows(script, "msg_burst") == {"OMS44": (2, 2), "firm": (2, 5)}


# --- whose account ---


def test_an_account_counts_what_both_sessions_send_for_it_alone() -> None:
    script = Script(World(core(main=rate(1, 2))))
    assert script.line("new a buy 1 @100 as=OMS42")[0] == "A A a 0/1"
    assert script.line("new b buy 1 @100")[0] == "A A b 0/1"
    assert script.line("new c buy 1 @100") == ["j THROTTLE"]
    assert script.line("new d buy 1 @100 as=OMS42") == ["j THROTTLE"]
    assert script.line(f"new e buy 1 @100 account={SPARE}")[0] == "A A e 0/1"
    # what names no account of ours is refused for that, and takes no account's place
    assert script.line("new f buy 1 @100 account=nosuch") == ["8 8 f 0/0 UNKNOWN_ACCOUNT"]
    assert script.world.state.paces.keys() == {"a:" + ACCOUNT}


def test_a_replace_or_cancel_counts_in_the_account_of_its_order() -> None:
    """Whatever Account(1) says, and by OrderID as well."""
    script = Script(World(core(main=rate(1, 9), spare=rate(1, 3))))
    script.line(f"new a buy 1 @100 account={SPARE}")
    script.line("replace r a 2 @100")
    assert script.line("cancel x nosuch")[0].startswith("9.1")  # nobody's
    assert rows(script, "msg_burst") == {ACCOUNT: (0, 9), SPARE: (2, 3)}
    cancel = script.world.client(c.CancelOrder, cl_ord_id="y", orig_cl_ord_id="?", order_id=script.orders[0])
    script.world.run(cancel)
    assert rows(script, "msg_burst") == {ACCOUNT: (0, 9), SPARE: (3, 3)}
    assert script.line(f"new b buy 1 @100 account={SPARE}") == ["j THROTTLE"]
    # another session's order is not known to this one
    script.world.run(script.world.client(c.CancelOrder, "OMS42", cl_ord_id="z", orig_cl_ord_id="?", order_id=script.orders[0]))
    received = [event for event in decode_record(script.world.records[-1]).events if isinstance(event, e.Received)]
    assert [event.account for event in received] == [""]


@pytest.mark.parametrize(
    ("request_of", "account"),
    [
        (lambda world: world.client(c.NewOrder, cl_ord_id="b", symbol="?", side="1", ord_type="1", account=SPARE), SPARE),
        (lambda world: replacing(world, "a"), ACCOUNT),
        (lambda world: world.client(c.CancelOrder, cl_ord_id="b", orig_cl_ord_id="a"), ACCOUNT),
        (lambda world: None, ""),
    ],
)
def test_what_cannot_be_used_counts_by_what_could_be_read_of_it(request_of: Any, account: str) -> None:
    script = Script(World(core(main=rate(1, 3), spare=rate(1, 3), firm=rate(1, 5))))
    script.line("new a buy 1 @100")
    world = script.world
    request = request_of(world)
    before = {"": 0, **{name: used for name, (used, _) in rows(script, "msg_burst").items()}}
    events = unusable(world, request, "D" if request is None else str(type(request).__struct_config__.tag))
    assert isinstance(events[0], e.Received) and events[0].account == account
    now = rows(script, "msg_burst")
    assert now["firm"] == (before["firm"] + 1, 5)
    for name in (ACCOUNT, SPARE):
        assert now[name] == (before[name] + (name == account), 3)


def test_what_cannot_be_used_is_refused_beyond_the_rate_of_the_account() -> None:
    world = World(core(main=rate(1, 1)))
    answers = []
    for number in range(2):
        request = world.client(c.NewOrder, cl_ord_id=f"a{number}", symbol=SYMBOL, side="1", ord_type="1")
        answers += [event.message for event in unusable(world, request) if isinstance(event, e.Reported)]
    for msg_type, request in (("G", replacing(world, "a0")), ("D", None)):
        answers += [event.message for event in unusable(world, request, msg_type) if isinstance(event, e.Reported)]
    assert [type(answer) for answer in answers] == [Report, BusinessReject, CancelReject, BusinessReject]
    # the last one names no account: it has its place
    assert [answer.reason for answer in answers] == ["INVALID_VALUE", "THROTTLE", "THROTTLE", "INVALID_VALUE"]


def test_a_drop_copy_takes_nobodys_place() -> None:
    """It may send no orders and has no limits of its own: a flood of it must not shut out who trades."""
    script = Script(World(core(main=rate(1, 2), firm=rate(1, 2))))
    world = script.world
    for _ in range(5):
        unusable(world, None, session="PB44")
    assert not world.state.paces
    assert script.line("new a buy 1 @100")[0] == "A A a 0/1"


# --- repeats ---


def test_the_same_order_by_two_sessions_counts_for_the_firm() -> None:
    script = Script(World(core(firm=repeat(2))))
    assert script.line("new a buy 1 @100")[0] == "A A a 0/1"
    assert script.line("new b buy 1.0 @100.0 as=OMS42")[0] == "A A b 0/1.0"
    assert script.line("new c buy 1 @100 as=OMS42") == ["8 8 c 0/0 REPEATED_ORDER"]
    (report,) = script.told
    assert isinstance(report, Report)
    assert (report.reason_tag, report.reason_value, report.reason_limit) == (38, "3", "2 in 1000 ms")
    assert report.text.endswith("within 1000 ms, firm allows 2")
    assert script.line("new d buy 1 @100.01")[0] == "A A d 0/1"
    script.line("+1s")
    assert script.line("new e buy 1 @100")[0] == "A A e 0/1"


def test_the_same_order_counts_per_account() -> None:
    script = Script(World(core(main=repeat(1))))
    assert script.line("new a buy 1 @100")[0] == "A A a 0/1"
    assert script.line("new b buy 1 @100 as=OMS42") == ["8 8 b 0/0 REPEATED_ORDER"]
    (report,) = script.told
    assert isinstance(report, Report) and report.text.endswith("account main allows 1")
    for name in "cd":
        assert script.line(f"new {name} buy 1 @100 account={SPARE}")[0] == f"A A {name} 0/1"


def test_a_loop_that_its_own_limit_stops_leaves_the_order_to_the_others() -> None:
    script = Script(World(core(oms44=repeat(2, 10 * SECOND), main=repeat(5, 10 * SECOND), firm=repeat(6, 10 * SECOND))))
    answers = [script.line(f"new a{number} buy 1 @100")[0].split()[-1] for number in range(20)]
    assert answers == ["0/1"] * 2 + ["REPEATED_ORDER"] * 18
    # refused ones count where they are refused
    assert rows(script, "repeat_max") == {"OMS44": (20, 2), ACCOUNT: (2, 5), "firm": (2, 6)}
    answers = [script.line(f"new b{number} buy 1 @100 as=OMS42")[0].split()[-1] for number in range(5)]
    assert answers == ["0/1"] * 3 + ["REPEATED_ORDER"] * 2
    assert rows(script, "repeat_max") == {"OMS44": (20, 2), ACCOUNT: (7, 5), "firm": (5, 6)}


# --- state ---


ALL: dict[str, Any] = {name: rate(2, 3) | repeat(3, SECOND) for name in ("oms44", "oms42", "main", "spare", "firm")}


def test_what_is_counted_survives_snapshot_and_replay_at_every_prefix() -> None:
    script = Script(World(core(**ALL)))
    for number in range(40):
        session = ("OMS44", "OMS42")[number % 3 % 2]
        script.line(f"new a{number} buy {1 + number % 2} @100 as={session}")
        if number % 5 == 4:
            script.line("+0.4s")
    state = script.world.state
    assert state.paces.keys() == {"a:" + ACCOUNT, "firm"}
    assert all(pace.tat_ns and pace.repeats for pace in state.paces.values())
    for at in range(0, len(script.world.records) + 1, 7):
        script.world.check_snapshot(at)
    loaded = load_state(dump_state(state))
    assert loaded.paces == state.paces and state_hash(loaded) == state_hash(state)
    loaded.paces["firm"].tat_ns += 1
    assert state_hash(loaded) != state_hash(state), "the hash does not see what the firm has counted"


def test_a_journal_of_before_is_read_and_counts_in_session_and_firm() -> None:
    """A Received without an account: three values and the flag, as it was written."""
    event = e.Received("OMS44", 0, 1, 5, True, ACCOUNT)
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(fields[:-1]), type=e.AnyEvent)
    assert old == e.Received("OMS44", 0, 1, 5, True)
    script = Script(World(core(**ALL)))
    evolve(script.world.state, e.Received("OMS44", 0, 1, script.world.now_ns, True))
    assert script.world.state.paces.keys() == {"firm"} and script.world.state.session("OMS44").tat_ns


def test_an_account_without_a_rate_is_not_looked_for() -> None:
    """It costs the order path something, and the journal some bytes."""
    script = Script(World(core(firm=rate(1, 5), oms44=rate(1, 5), main=repeat(5))))
    script.line("new a buy 1 @100")
    received = [event for event in decode_record(script.world.records[-1]).events if isinstance(event, e.Received)]
    assert [event.account for event in received] == [""]


def test_what_no_limit_counts_any_more_is_forgotten() -> None:
    script = Script(World(core(**ALL)))
    script.line("new a buy 1 @100")
    assert script.world.state.paces.keys() == {"a:" + ACCOUNT, "firm"}
    script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=core(firm=repeat(3), hash="second")))
    assert script.world.state.paces.keys() == {"firm"}
    script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=core(hash="third")))
    assert not script.world.state.paces
    assert script.line("new b buy 1 @100")[0] == "A A b 0/1"


def test_an_account_that_has_left_the_configuration_is_forgotten() -> None:
    script = Script(World(core(**ALL)))
    script.line("new a buy 1 @100")
    settings = core(**ALL, hash="second")
    script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=msgspec.structs.replace(settings, accounts={})))
    assert script.world.state.paces.keys() == {"firm"}


@pytest.mark.parametrize("scope", ["oms44", "main", "firm"])
def test_another_rate_begins_anew_and_the_same_one_goes_on(scope: str) -> None:
    script = Script(World(core(**{scope: rate(1, 5)})))
    for number in range(5):
        assert script.line(f"new a{number} buy 1 @100")[0][0] == "A"
    load = c.LoadSettings(ts_ns=script.world.tick(), settings=core(**{scope: rate(1, 5)}, hash="second"))
    script.world.run(load)
    assert script.line("new b buy 1 @100") == ["j THROTTLE"]
    # five places of a second each are no five seconds of the new one
    script.world.run(c.LoadSettings(ts_ns=script.world.tick(), settings=core(**{scope: rate(100, 2)}, hash="third")))
    assert [script.line(f"new c{number} buy 1 @100")[0][0] for number in range(3)] == ["A", "A", "j"]


@pytest.mark.parametrize(("ahead_ns", "taken"), [(-5, 0), (0, 0), (1, 1), (SECOND // 4, 1), (SECOND // 4 + 1, 2), (SECOND, 4)])
def test_places_that_are_taken(ahead_ns: int, taken: int) -> None:
    assert places_taken(4, 10**18 + ahead_ns, 10**18) == taken


def test_places_are_shown_as_they_come_free() -> None:
    script = Script(World(core(firm=rate(1, 3), oms44=rate(2, 4))))
    for name in "ab":
        script.line(f"new {name} buy 1 @100")
    assert rows(script, "msg_burst") == {"OMS44": (2, 4), "firm": (2, 3)}
    assert rows(script, "msgs_per_s") == {"OMS44": (None, 2), "firm": (None, 1)}
    script.line("+1s")
    assert rows(script, "msg_burst") == {"OMS44": (0, 4), "firm": (1, 3)}
