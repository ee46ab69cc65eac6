"""The session layer from the counterparty's side: gaps both ways, resends, resets, drops, and what the drop copy sees."""

import pytest
from client import Conversation, utc
from dialogue import Desk, cancel, check, er, new, venue_fill, working


def reports(client: Conversation, exec_ids: list[str]) -> list[dict[int, str]]:
    return [m for m in client.seen if m.get(17) in exec_ids]


def test_a_lost_message_is_asked_for(desk: Desk) -> None:
    """The order never reached the gateway; the message behind it shows the gap; the client resends with PossDup."""
    client = desk.client
    with client._out:
        lost = client.next_out
        client.next_out += 1
        body = [(11, desk.id("X")), (55, "BTC/USDT"), (54, "1"), (40, "2"), (59, "1"), (38, "1"), (44, "59000")]
        client.sent[lost] = [(35, "D"), *body, (21, "1"), (60, utc())]
    desk.chain["X"] = "X"
    client.send("0", [])
    asked = client.wait(lambda: [m for m in client.admin if m[35] == "2" and int(m[7]) == lost], "ResendRequest")
    assert len(asked) == 1
    desk.play([er("pending new", "A", "X", "1 0 1"), er("new", "0", "X", "1 0 1")])


def test_a_gap_of_session_messages_is_filled(desk: Desk) -> None:
    client = desk.client
    lost = client.next_out
    client.next_out += 1
    desk.play([*working("X", "1")])
    assert any(m[35] == "2" and int(m[7]) == lost for m in client.admin)


def test_an_old_message_with_poss_dup_is_passed_over(desk: Desk) -> None:
    client = desk.client
    number = client.next_out
    for step in working("X", "1"):
        step(desk)
    client.send("D", client.sent[number][1:], number=number, header=[(43, "Y"), (122, utc())])
    desk.play([cancel("Y", "X"), er("pending cancel", "6", "Y,X", "1 0 1"), er("canceled", "4", "Y,X", "1 0 0")])


def test_a_number_that_is_too_low_ends_the_connection(desk: Desk) -> None:
    client = desk.client
    client.send("0", [], number=1)
    client.wait(lambda: not client.connected, "end of the connection")
    assert client.admin[-1][35] == "5" and "too low" in client.admin[-1][58]
    client.connect()
    desk.play(working("X", "1"))


def test_reports_can_be_asked_for_again(desk: Desk) -> None:
    """Resent with PossDup, the old ExecID and OrigSendingTime; session messages are gap-filled."""
    client = desk.client
    client.ping()
    first = client.next_in
    desk.play([*working("X", "1"), venue_fill("X", "0.5"), er("partial fill", "1", "X", "1 0.5 0.5", t32="0.5")])
    client.ping()
    before = {int(m[34]): m for m in client.seen if int(m[34]) >= first and 43 not in m}
    client.pending()
    client.send("2", [(7, first), (16, 0)])
    client.ping()
    again = [m for m in client.pending() if m.get(43) == "Y"]
    assert [int(m[34]) for m in again] == sorted(before)
    assert [m[17] for m in again[:3]] == [m[17] for m in desk.reports]
    for m in again:
        old = before[int(m[34])]
        own = {tag: value for tag, value in old.items() if tag not in (8, 9, 10, 52)}
        assert {tag: m.get(tag) for tag in own} == own
        assert m[122][:17] == old[52][:17]


def test_what_happened_while_the_client_was_away_comes_after_the_logon(desk: Desk) -> None:
    for step in working("X", "1"):
        step(desk)
    desk.client.logout()
    venue_fill("X", "1")(desk)
    desk.copy.wait(lambda: any(m.get(11) == desk.id("X") and m[39] == "2" for m in desk.copy.seen), "the copy of the fill")
    desk.client.connect()
    desk.play([er("fill", "2", "X", "1 1 0")])


def pending(desk: Desk) -> int:
    return int(desk.admin.call("sessions", session=desk.version.comp_id)["sessions"][0]["pending_reports"])


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
def test_operations_see_how_many_reports_are_due(desk: Desk) -> None:
    """Also while the client is away, and after a Logon with 141=Y that was refused."""
    client, name = desk.client, desk.version.comp_id
    for step in working("X", "1"):
        step(desk)
    # confirmed by the answer to a TestRequest
    desk.until(lambda: pending(desk) == 0, "confirmation")
    client.logout()
    for step in (venue_fill("X", "0.4"), venue_fill("X", "0.6")):
        step(desk)
    desk.until(lambda: pending(desk) == 2, "the two fills")
    desk.admin.call("session", name=name, action="disable", reason="test")
    refused = Conversation(client.address, client.begin, client.comp_id)
    refused.open()
    refused.send("A", [(98, 0), (108, 30), (141, "Y")])
    refused.wait(lambda: not refused.connected, "end of the connection")
    refused.close()
    assert not any(m[35] == "A" for m in refused.admin) and pending(desk) == 2
    desk.admin.call("session", name=name, action="enable", reason="test")
    client.connect(reset=True)
    desk.play([er("fill", "1", "X", "1 0.4 0.6"), er("fill", "2", "X", "1 1 0")])
    desk.until(lambda: pending(desk) == 0, "confirmation")


def test_reset_brings_unconfirmed_reports_again(desk: Desk) -> None:
    """141=Y wipes the numbers, not what the client has not confirmed: PossResend, the same ExecID, once each."""
    client = desk.client
    desk.barrier()
    client.logout()
    client.connect(reset=True)
    desk.barrier()
    client.deaf = True
    try:
        for step in working("X", "1"):
            step(desk)
    finally:
        client.close()
        client.deaf = False
    client.connect(reset=True)
    expected = [m[17] for m in desk.reports]
    client.wait(lambda: len(reports(client, expected)) >= 4, "reports again")
    again = client.pending()
    assert all(m[97] == "Y" for m in again)  # the answer to the barrier was not confirmed either
    again = [m for m in again if m[17] in expected]
    assert [m[17] for m in again] == expected
    for m, old in zip(again, desk.reports, strict=True):
        check(m, {43: "", 39: old[39], 11: old[11], 37: old[37], 60: old[60]}, "report sent again")
    assert client.next_in < 20
    desk.play([venue_fill("X", "1"), er("fill", "2", "X", "1 1 0")])
    assert len(reports(client, expected)) == 4


def test_cl_ord_ids_survive_a_reset(desk: Desk) -> None:
    desk.play(working("X", "1"))
    desk.client.logout()
    desk.client.connect(reset=True)
    desk.barrier()  # what was not confirmed comes again first
    desk.play([new("X", "1"), er("rejected", "0", "X", "1 0 1", code="DUPLICATE_CL_ORD_ID", t103="6")])


@pytest.mark.parametrize(("goodbye", "code", "restatement"), [(False, "DISCONNECT", "12"), (True, "LOGOUT", "13")])
def test_cancel_on_disconnect_by_logon(desk: Desk, goodbye: bool, code: str, restatement: str) -> None:
    client = desk.client
    client.logout()
    client.connect(extra=[(20008, "Y")])
    for step in working("X", "1"):
        step(desk)
    if goodbye:
        client.logout()
    else:
        client.close()
    desk.copy.wait(lambda: any(m.get(11) == desk.id("X") and m[39] == "4" for m in desk.copy.seen), "the cancel")
    client.connect()
    desk.play([er("canceled", "4", "X", "1 0 0", code=code, t378=f"{restatement}|4")])


BAD_LOGON = {
    "heartbeat": ([(98, 0), (108, 9999)], [], "HeartBtInt(108) is 9999, expected 1 to 3600 s"),
    "no heartbeat": ([(98, 0)], [], "HeartBtInt(108) is missing"),
    "encryption": ([(98, 1), (108, 30)], [], "EncryptMethod(98) is 1, expected 0"),
    "old": ([(98, 0), (108, 30)], [(52, "20260101-00:00:00")], "SendingTime(52) is 20260101-00:00:00, expected within 120 s"),
    "an unknown tag": ([(98, 0), (108, 30), (4999, "x")], [], "tag 4999 is no field of a Logon"),
    "a value of no meaning": ([(98, 0), (108, 30), (20008, "X")], [], "CancelOnDisconnect(20008) is X, expected N S Y"),
}


@pytest.mark.parametrize("reset", [False, True])
def test_a_refused_logon_is_told_why_and_costs_no_number(desk: Desk, reset: bool) -> None:
    client = desk.client
    client.logout()
    bad = dict(BAD_LOGON)
    if desk.version.begin == "FIXT.1.1":
        bad = {name: ([*body, (1137, 9)], header, text) for name, (body, header, text) in bad.items()}
        bad["version"] = ([(98, 0), (108, 30), (1137, 7)], [], "DefaultApplVerID(1137) is 7, expected 9")
        bad["no version"] = ([(98, 0), (108, 30)], [], "DefaultApplVerID(1137) is missing, expected 9")
    kept = (client.next_out, client.next_in)
    for body, header, text in bad.values():
        if reset:  # the client counts from 1; the gateway must not
            client.next_out = client.next_in = 1
        number, mark = client.next_in, len(client.admin)
        client.open()
        client.send("A", [*body, *([(141, "Y")] if reset else [])], header=header)
        client.wait(lambda: not client.connected, "end of the connection")
        (told,) = client.admin[mark:]
        assert (told[35], told[34]) == ("5", str(number)) and text in told[58], told
        client.close()
    if reset:
        # its engine takes its numbers back, and finds that the gateway has kept them too
        client.next_out, client.next_in = kept
    client.connect()
    desk.barrier()
    desk.play(working("X", "1"))


def test_a_logon_may_list_its_message_types(desk: Desk) -> None:
    desk.client.logout()
    desk.client.connect(extra=[(384, 2), (372, "D"), (385, "R"), (372, "8"), (385, "S")])
    desk.play(working("X", "1"))


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
def test_what_only_quickfix_finds_in_a_logon_is_not_kept_waiting_for_ever(desk: Desk) -> None:
    client = desk.client
    client.logout()
    client.open()
    client.send("A", [(98, 0), (108, 30), (789, "x")])
    client.wait(lambda: not client.connected, "end of the connection", 10)
    client.connect()


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
def test_a_second_connection_of_a_session_is_refused(desk: Desk) -> None:
    other = Conversation(desk.client.address, "FIX.4.4", "OMS44")
    other.open()
    other.send("A", [(98, 0), (108, 30)])
    other.wait(lambda: not other.connected, "end of the second connection")
    other.close()
    desk.play(working("X", "1"))


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
@pytest.mark.parametrize(
    ("begin", "comp_id", "logon"),
    [
        ("FIX.4.4", "NOBODY", [(98, 0), (108, 30)]),
        ("FIX.4.2", "OMS44", [(98, 0), (108, 30)]),
        ("FIX.4.4", "PB44", [(98, 0), (108, 0)]),
        ("FIX.4.4", "PB44", [(98, 0)]),
    ],
    ids=["unknown CompID", "other version", "no heartbeat", "HeartBtInt missing"],
)
def test_logons_that_are_refused(desk: Desk, begin: str, comp_id: str, logon: list[tuple[int, int]]) -> None:
    if comp_id == "PB44":
        desk.copy.logout()
    other = Conversation(desk.client.address, begin, comp_id)
    other.open()
    other.send("A", logon)  # type: ignore[arg-type]
    other.wait(lambda: not other.connected, "end of the connection")
    assert not any(m[35] == "A" for m in other.admin)
    other.close()
    if comp_id == "PB44":
        desk.copy.connect()
    desk.play(working("X", "1"))


# --- the drop copy ---


@pytest.mark.parametrize("desk", ["FIX44"], indirect=True)
def test_the_drop_copy_sends_no_orders(desk: Desk) -> None:
    copy = desk.copy
    body = [(11, "PB-" + desk.id("X")), (55, "BTC/USDT"), (54, "1"), (40, "2"), (38, "1"), (44, "59000"), (60, utc())]
    mark = len(copy.seen)
    number = copy.send("D", body)  # type: ignore[arg-type]
    found = copy.wait(lambda: [m for m in copy.seen[mark:] if m[35] == "j"], "BusinessMessageReject")
    check(found[0], {45: str(number), 372: "D", 380: "6", 20001: "READ_ONLY", 20002: "35", 20003: "D"}, "35=j")
    assert desk.admin.call("orders", open=True)["orders"] == []


def test_the_drop_copy_names_whose_order_it_is(desk: Desk) -> None:
    desk.play([*working("X", "1"), venue_fill("X", "0.5"), er("partial fill", "1", "X", "1 0.5 0.5")])
    for report in desk.reports:
        (copied,) = [m for m in desk.copy.seen if m.get(17) == report[17]]
        check(copied, {797: "Y", 453: "1", 448: desk.version.comp_id, 452: "3", 11: report[11], 97: "", 43: ""}, "copy")


def test_the_drop_copy_goes_on_where_it_stopped(desk: Desk) -> None:
    desk.copy.logout()
    for step in [*working("X", "1"), venue_fill("X", "1"), er("fill", "2", "X", "1 1 0")]:
        step(desk)
    desk.copy.connect()
    desk.play([])
    assert all(97 not in m for m in reports(desk.copy, [r[17] for r in desk.reports]))


@pytest.mark.parametrize("desk", ["FIX42"], indirect=True)
def test_the_drop_copy_survives_a_reset(desk: Desk) -> None:
    """What the receiver did not confirm comes again after 141=Y with PossResend and the same ExecID."""
    copy = desk.copy
    copy.logout()
    copy.connect(reset=True)
    copy.ping()
    copy.deaf = True
    try:
        for step in working("X", "1"):
            step(desk)
        ids = [r[17] for r in desk.reports]
        copy.wait(lambda: len(reports(copy, ids)) == 2, "copies")
    finally:
        copy.close()
        copy.deaf = False
    copy.connect(reset=True)
    copy.wait(lambda: len(reports(copy, ids)) == 4, "copies again")
    again = reports(copy, ids)[2:]
    assert [m[17] for m in again] == ids and all(m[97] == "Y" and m[797] == "Y" for m in again)
