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
