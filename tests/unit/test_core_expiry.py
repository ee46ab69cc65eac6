"""When an order ends by its time in force, and which times an order may have at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from core_script import Script, play
from core_world import SYMBOL

from fixgw.core import events as e
from fixgw.core.commands import NewOrder
from fixgw.core.reports import CancelReject, Report
from fixgw.core.times import DAY_NS, utc_date


def refused(script: Script) -> tuple[str, int, str]:
    """Code, tag and what would have been taken, of the last refusal told."""
    message = script.told[-1]
    assert isinstance(message, Report | CancelReject) and message.reason_value in message.text
    return message.reason, message.reason_tag, message.reason_limit


NO_EXPIRY = ("INVALID_VALUE", 126, "none without TimeInForce(59)=6")


@pytest.mark.parametrize("terms", ["tif=0", "tif=1", "tif=3", "tif=4"])
@pytest.mark.parametrize("seconds", [-5, 2, 86400])
def test_an_expiry_that_would_bind_nothing_is_refused(terms: str, seconds: int) -> None:
    """The order would outlive the time that the client gave."""
    script = Script()
    assert script.line(f"new a buy 1 @100 {terms} expire_ns={seconds}") == ["8 8 a 0/0 INVALID_VALUE"]
    assert refused(script) == NO_EXPIRY


def test_an_expire_date_is_named_by_its_own_tag_and_date() -> None:
    script = Script()
    world = script.world
    day = world.now_ns // DAY_NS * DAY_NS
    fields: dict[str, Any] = {"symbol": SYMBOL, "side": "1", "ord_type": "2", "price": Decimal(100), "order_qty": Decimal(1)}
    events = world.run(world.client(NewOrder, cl_ord_id="a", tif="0", expire_ns=day, expire_tag=432, **fields))
    message = next(event.message for event in events if isinstance(event, e.Reported))
    assert isinstance(message, Report) and message.ord_status == "8"
    assert (message.reason_tag, message.reason_value) == (432, utc_date(day - DAY_NS))


@pytest.mark.parametrize("tif", ["0", "1"])
def test_a_replace_gives_no_expiry_to_what_is_not_gtd(tif: str) -> None:
    script = play(
        f"""
        new a buy 1 @100 tif={tif}              | A A a 0/1; place C1 1@100 GTC
        ack C1                                  | 0 0 a 0/1
        replace b a 1 @101 expire_ns=2          | 9.2 0 b<a INVALID_VALUE
        """
    )
    assert refused(script) == NO_EXPIRY
    assert script.line("replace c a 1 @101 tif=6") == ["9.2 0 c<a MISSING_FIELD"]  # the end of a day is ours, not the client's
    assert refused(script)[:2] == ("MISSING_FIELD", 126)
    assert script.line("replace d a 1 @101 tif=6 expire_ns=20") == ["cancel C1", "E E d<a 0/1"]
    script.line("done C1 canceled 0")
    assert script.line("ack C2") == ["5 0 d<a 0/1"]
    assert script.line("+21s") == ["cancel C2"]
    assert script.line("done C2 canceled 0") == ["C C d 0/0 EXPIRED"]


def test_a_replace_of_a_gtd_order_may_repeat_or_move_its_expiry_without_a_time_in_force() -> None:
    script = play(
        """
        new a buy 1 @100 tif=6 expire_ns=60     | A A a 0/1; place C1 1@100 GTC
        ack C1                                  | 0 0 a 0/1
        replace b a 1 @101                      | cancel C1; E E b<a 0/1
        done C1 canceled 0                      | place C2 1@101 GTC
        ack C2                                  | 5 0 b<a 0/1
        replace c b 1 @101 expire_ns=20         | cancel C2; E E c<b 0/1
        done C2 canceled 0                      | place C3 1@101 GTC
        ack C3                                  | 5 0 c<b 0/1
        replace d c 1 @101 tif=1 expire_ns=30   | 9.2 0 d<c INVALID_VALUE
        +21s                                    | cancel C3
        done C3 canceled 0                      | C C c 0/0 EXPIRED
        """
    )
    other = Script()
    for line in ("new a buy 1 @100 tif=6 expire_ns=60", "ack C1", "replace b a 1 @101 tif=1", "done C1 canceled 0"):
        other.line(line)
    assert other.line("ack C2") == ["5 0 b<a 0/1"]  # to GTC the old date goes
    assert other.line("+61s") == [] and len(script.orders) == 1


WORKING = "new a buy 1 @100 tif=6 expire_ns=10 | A A a 0/1; place C1 1@100 GTC\nack C1 | 0 0 a 0/1\n+8s | -\n"


@pytest.mark.parametrize("terms", ["tif=6 expire_ns=60", "expire_ns=60", "tif=1"])
def test_a_replace_to_a_later_time_outlives_the_old_one_that_passes_while_it_is_pending(terms: str) -> None:
    """The client has asked in time; that the venue takes its time to cancel is not its doing."""
    script = play(
        WORKING
        + f"""
        replace b a 1 @101 {terms}              | cancel C1; E E b<a 0/1
        trade C1 t1 0.4                         | F E a 0.4/0.6
        +3s                                     | -
        done C1 canceled 0.4                    | place C2 0.6@101 GTC
        +1s                                     | -
        ack C2                                  | 5 1 b<a 0.4/0.6
        +1s                                     | -
        """
    )
    if terms != "tif=1":
        assert script.line("+60s") == ["cancel C2"]
        assert script.line("done C2 canceled 0") == ["C C b 0.4/0 EXPIRED"]


@pytest.mark.parametrize("refused", ["cancel-reject C1", "ambiguous C1 cancel"])
def test_a_replace_to_a_later_time_that_comes_to_nothing_leaves_the_old_one(refused: str) -> None:
    script = play(WORKING + "replace b a 1 @101 expire_ns=60 | cancel C1; E E b<a 0/1\n+3s | -")
    if refused == "ambiguous C1 cancel":
        assert script.line(refused) == ["I E b<a 0/1 OUTCOME_UNKNOWN", "query C1"]
        assert script.line("answer C1 open cum=0") == ["cancel C1"]  # again, for the replace
    assert script.line("cancel-reject C1") == ["9.2 0 b<a CANCEL_FAILED"]
    assert script.line("+1s") == ["cancel C1"]
    assert script.line("done C1 canceled 0") == ["C C a 0/0 EXPIRED"]


@pytest.mark.parametrize("terms", ["", "expire_ns=1"])
def test_an_order_that_expires_under_a_replace_to_no_later_time_says_so_in_the_refusal(terms: str) -> None:
    script = play(
        WORKING
        + f"""
        replace b a 1 @101 {terms}              | cancel C1; E E b<a 0/1
        +3s                                     | -
        done C1 canceled 0                      | 9.2 0 b<a REPLACE_FAILED; C C a 0/0 EXPIRED
        """
    )
    told = script.told[0]
    assert isinstance(told, CancelReject) and told.text.endswith("EXPIRED: the time in force ended"), told.text
    assert told.reason_limit == "an order whose time in force goes on"


def test_an_order_that_is_killed_under_a_replace_says_so_in_the_refusal() -> None:
    script = play(WORKING + "replace b a 1 @101 | cancel C1; E E b<a 0/1\nkill HALTED firm | firm HALTED")
    assert script.line("done C1 canceled 0") == ["9.2 0 b<a REPLACE_FAILED", "4 4 a 0/0 KILLED"]
    refusal, end = script.told
    assert isinstance(refusal, CancelReject) and refusal.text.endswith("KILLED: canceled by a kill switch")
    assert isinstance(end, Report) and end.text == "canceled by a kill switch"


def test_an_expired_order_repeats_why_it_ended() -> None:
    script = play(
        WORKING
        + """
        trade C1 t1 0.4                         | F 1 a 0.4/0.6
        +3s                                     | cancel C1
        done C1 canceled 0.4                    | C C a 0.4/0 EXPIRED
        status a                                | ?I C a 0.4/0 EXPIRED
        new a buy 1 @100 poss_resend=1          | ?I C a 0.4/0 EXPIRED
        trade C1 t2 0.1                         | F C a 0.5/0; !FILL_AFTER_END
        status a                                | ?I C a 0.5/0 EXPIRED
        trade C1 t3 0.5                         | F 2 a 1.0/0; !FILL_AFTER_END
        status a                                | ?I 2 a 1.0/0
        """
    )
    told = script.told[-1]
    assert isinstance(told, Report) and (told.exec_type, told.reason) == ("I", "")
