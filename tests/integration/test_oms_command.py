"""The oms command, scripted, against a QuickFIX acceptor."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import quickfix
from click.testing import CliRunner, Result
from front_acceptor import SESSIONS, Acceptor

from fixgw.fix.client import ClientError, FixClient
from fixgw.fix.client_orders import OrderBook, OrderView
from fixgw.fix.oms import oms


@pytest.fixture(scope="module")
def acceptor() -> Iterator[Acceptor]:
    server = Acceptor("M")
    yield server
    server.stop()


@pytest.fixture
def folder(acceptor: Acceptor, tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "run/ready.json").write_text(json.dumps({"fix": {"host": "127.0.0.1", "port": acceptor.port}}))
    for name, begin in SESSIONS.items():
        text = f'name = "{name}"\nbegin_string = "{begin}"\nclient_comp_id = "M{name}"\ngateway_comp_id = "FIXGW"\n'
        (tmp_path / f"sessions/{name}.toml").write_text(text + "[limits]\nmax_order_qty = 5\n")
    return tmp_path


def run(folder: Path, session: str, script: str, *options: str) -> Result:
    path = folder / "script"
    path.write_text(script)
    return CliRunner().invoke(oms, [str(folder), session, "--reset", "--script", str(path), *options])


@pytest.mark.parametrize("name", SESSIONS)
def test_a_script_that_goes_well(folder: Path, acceptor: Acceptor, name: str) -> None:
    script = f"""
    # a day in the life
    buy 5 BTC/USDT @ 50 gtc account ACC on SIM as a
    wait new a 5
    expect a leaves 5.0
    replace a qty 7 price 51 as b
    wait replaced b 5
    wait replaced a 5
    expect b status replaced
    expect 35=8 150=5 within 5
    expect b qty 7
    expect a price 51
    status last
    expect {"20=3" if name == "OMS42" else "150=I"} within 5
    cancel b
    wait canceled a 5
    sell cash 100 BTC/USDT ioc
    wait filled last 5
    buy 1 BTC/USDT @ 20 stop 19.5 gtd 20991231
    wait new last 5
    buy 2000 BTC/USDT @ 20 postonly
    wait done last 5
    expect last status rejected
    expect last text too much
    cancel a
    expect 35=9 434=1 within 5
    raw 35=D|21=1|11=mine|55=BTC/USDT|54=1|38=1|40=1|60=20240101-00:00:00
    expect 35=8 11=mine 39=2
    orders
    log 2
    sleep 0
    """
    result = run(folder, name, script)
    assert result.exit_code == 0, result.output
    assert "FILLED" in result.output and "ReasonCode=QTY_MAX" in result.output and "too much" in result.output
    order = next(fields for fields in acceptor.received if fields.get("432"))
    assert (order["59"], order["432"], order["99"], order["40"]) == ("6", "20991231", "19.5", "4")
    assert next(fields for fields in acceptor.received if fields.get("1"))["100"] == "SIM"
    acceptor.received.clear()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_business_reject_ends_an_order_that_nothing_else_was_told_of(folder: Path, acceptor: Acceptor, name: str) -> None:
    acceptor.received.clear()
    script = """
    buy 1 BTC/USDT @ 13 as a
    wait rejected a 5
    wait done a 5
    expect a text too fast
    expect a leaves 0
    cancel all
    buy 1 BTC/USDT @ 14 as unknown
    expect 35=j 379=$unknown within 5
    expect unknown text too fast
    wait done unknown 0.1
    """
    result = run(folder, name, script)
    assert "is not done in 0.1 s: no report yet" in result.output, result.output
    assert [fields["35"] for fields in acceptor.received] == ["D"] * 2, "no cancel for what is rejected"


def test_a_business_reject_of_a_used_id_or_of_a_replace_leaves_the_order_alone() -> None:
    book = OrderBook()
    for name in ("live", "new"):
        book.add(OrderView(name, "BTC/USDT", "1"))
    view = book.report({35: "8", 11: "live", 39: "0", 150: "0"})
    assert view is not None
    book.alias("next", view, replace=True)
    refused = {35: "j", 380: "8", 20001: "THROTTLE", 58: "too fast"}
    assert book.report(refused | {372: "D", 379: "live"}) is None and book.report(refused | {372: "D", 379: "other"}) is None
    assert book.report(refused | {372: "G", 379: "next"}) is view and (view.ord_status, view.text) == ("0", "too fast")
    assert not view.is_replaced("next")
    fresh = book.report(refused | {372: "D", 379: "new"})
    assert fresh is not None and fresh.terminal and fresh.ord_status == "8"


def test_keep_going_is_refused_without_a_script(folder: Path) -> None:
    result = CliRunner().invoke(oms, [str(folder), "OMS44", "--keep-going"], input="buy\n")
    assert result.exit_code == 2 and "--keep-going is of --script" in result.output


def test_failures_and_bad_commands_are_told(folder: Path) -> None:
    script = "\n".join(
        [
            "fly me",
            "buy",
            "buy ten BTC/USDT",
            "buy 1 BTC/USDT @",
            "buy 1 BTC/USDT now",
            "buy 1 BTC/USDT ioc fok",
            "buy 1 BTC/USDT gtd tomorrow",
            "replace nope qty 1",
            "replace x",
            "raw 35",
            "wait forever x 1",
            "sleep -1",
            "log x",
            "expect x",
            "buy 1 BTC/USDT @ 5 as a",
            "wait new a 5",
            "expect a colour red",
            "expect a status filled",
            "buy 9 BTC/USDT",
            "wait filled last 5",
        ]
    )
    result = run(folder, "OMS44", script, "--json", "--keep-going")
    said = [json.loads(line) for line in result.output.splitlines()]
    errors = [line["text"] for line in said if line["type"] == "error"]
    expected = ["'fly' is no command", "expected: buy QTY", "QTY: 'ten'", "@: a value", "'now' is not", "one time in force"]
    expected += ["gtd: 'tomorrow'", "'nope' is not known", "expected: replace", "raw: '35'", "wait: 'forever x 1'"]
    expected += ["seconds: '-1'", "log: 'x'", "expect: 'x'", "expect: 'colour'", "status is 'NEW', expected 'filled'"]
    assert [part in error for part, error in zip(expected, errors, strict=True)] == [True] * len(expected), errors
    assert result.exit_code == 1
    reports = [line for line in said if line["type"] == "message" and line["message"] == "ExecutionReport"]
    assert reports[0]["fields"]["OrderQty"] == "1" and reports[0]["meaning"]["OrdStatus"] == "NEW"
    assert reports[-1]["fields"]["OrderQty"] == "9" and errors[0].startswith("line 1: ") and errors[-1].startswith("line 18: ")


@pytest.mark.parametrize("bad", ["fly me", "expect a status filled", "replace nope qty 1", "wait replaced a 0.1"])
@pytest.mark.parametrize("options", [[], ["--keep-going"]])
def test_a_script_ends_at_the_first_line_that_fails(folder: Path, bad: str, options: list[str]) -> None:
    script = f"# first\nbuy 1 BTC/USDT @ 5 as a\nwait new a 5\n{bad}\nbuy 77.125 BTC/USDT @ 5 as b\nwait new b 5\n"
    result = run(folder, "OMS44", script, *options)
    assert result.exit_code == 1 and "line 4: " in result.output, result.output
    assert ("77.125" in result.output) == bool(options) and ("stopped at line 4" in result.output) == (not options)


@pytest.mark.parametrize("name", SESSIONS)
def test_replaced_is_of_the_replace_that_is_named(folder: Path, name: str) -> None:
    script = """
    buy 5 BTC/USDT @ 50 as a
    wait new a 5
    replace a price 51 as b
    wait replaced b 5
    cancel b
    wait canceled a 5
    replace b price 52 as c
    expect 35=9 434=2 within 5
    wait replaced b 5
    wait replaced c 0.1
    """
    result = run(folder, name, script)
    assert result.exit_code == 1 and "line 11: wait:" in result.output and "is not replaced in 0.1 s" in result.output


def test_expectations_time_out(folder: Path) -> None:
    result = run(folder, "OMS44", "buy 1 BTC/USDT @ 5\nwait filled last 0.1\n")
    assert result.exit_code == 1 and "line 2: wait:" in result.output and "is not filled in 0.1 s: NEW" in result.output
    result = run(folder, "OMS44", "expect 35=8 within 0.05\n")
    assert result.exit_code == 1 and "no message with 35=8" in result.output


def test_commands_from_a_pipe(folder: Path) -> None:
    text = "help\nbuy 1 BTC/USDT @ 5\nwait new last 5\norders\nnonsense\nquit\nbuy 77.125 X\n"
    result = CliRunner().invoke(oms, [str(folder), "OMS50", "--reset"], input=text)
    assert result.exit_code == 1 and "line 5: 'nonsense' is no command" in result.output and "cancel ID" in result.output
    assert "sent" in result.output and "77.125" not in result.output
    good = CliRunner().invoke(oms, [str(folder), "OMS50"], input=text.replace("nonsense\n", ""))
    assert good.exit_code == 0, good.output


def test_numbers_go_on_in_the_next_run(folder: Path) -> None:
    assert run(folder, "OMS44", "buy 1 BTC/USDT @ 5\nwait new last 5").exit_code == 0
    result = CliRunner().invoke(oms, [str(folder), "OMS44"], input="buy 1 BTC/USDT @ 5\nwait new last 5\norders\nquit\n")
    assert result.exit_code == 0 and "is not new" not in result.output and "NEW" in result.output


@pytest.mark.parametrize("session", ["OMS42", "OMS50"])
def test_a_session_that_another_client_has_used_goes_on_at_its_number(folder: Path, session: str) -> None:
    theirs = quickfix.Session.lookupSession(quickfix.SessionID(SESSIONS[session], "FIXGW", f"M{session}"))
    theirs.setNextTargetMsgSeqNum(theirs.getExpectedTargetNum() + 50)
    script = "buy 1 BTC/USDT @ 5\nwait new last 5\nquit\n"
    for said in (True, False):  # the second run has the numbers in its own store
        result = CliRunner().invoke(oms, [str(folder), session, "--timeout", "30"], input=script)
        assert result.exit_code == 0 and "is not new" not in result.output, result.output
        assert ("another client has used this session" in result.output) == said, result.output


def test_a_logon_that_fails_for_its_number_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_low(client: FixClient, timeout_s: float) -> None:
        raise ClientError("no Logon within 10 s; it said: MsgSeqNum too low, expecting 60 but received 47")

    monkeypatch.setattr(FixClient, "wait_logon", too_low)
    result = CliRunner().invoke(oms, [str(folder), "OMS44", "--port", "1"])
    assert result.exit_code == 1 and "MsgSeqNum too low" in result.output and "`--reset`" in result.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sessions/OMS44.toml": None}, "OMS44.toml: expected a file that can be read"),
        ({"sessions/OMS44.toml": 'begin_string = "FIX.4.4"\n'}, "client_comp_id: None, expected text"),
        (
            {"sessions/OMS44.toml": 'begin_string = "FIX.9"\nclient_comp_id = "a"\ngateway_comp_id = "b"\n'},
            "begin_string: 'FIX.9'",
        ),
        ({"run/ready.json": None}, "is the gateway running?"),
        ({"run/ready.json": "{}"}, "ready.json: expected"),
    ],
)
def test_what_it_cannot_read_is_told(folder: Path, change: dict[str, str | None], said: str) -> None:
    for name, text in change.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)
    result = CliRunner().invoke(oms, [str(folder), "OMS44"])
    assert result.exit_code == 1 and said in result.output


def test_nobody_there(folder: Path) -> None:
    result = CliRunner().invoke(oms, [str(folder), "OMS44", "--port", "1", "--timeout", "0.2"])
    assert result.exit_code == 1 and "no Logon within 0.2 s" in result.output
