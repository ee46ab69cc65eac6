"""Trades on the account that are no order's of ours although they bear an id of ours: the position moves, no client gets a fill.
How to read the tables: core_script.py."""

from decimal import Decimal

import pytest
from core_script import Script, play
from core_world import ACCOUNT, SYMBOL

ENDED = """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        cancel b a                     | cancel C1; 6 6 b<a 0.4/0.6
        done C1 canceled 0.4           | 4 4 b<a 0.4/0
"""
STORIES = {
    "the id of an order that has ended is taken again": ENDED
    + """
        trade C1 x1 2 venue_order_id=v99 age=0   | external x1; !EXTERNAL_FILL
        trade C1 x1 2 venue_order_id=v99 age=0   | -
        trade C1 x2 3 venue_order_id=v99 side=2 age=0 | external x2; !EXTERNAL_FILL
    """,
    "a late trade of the order itself": ENDED
    + """
        trade C1 t2 0.1                | F 4 b 0.5/0; !FILL_AFTER_END
    """,
    "a late trade of an order whose number was never told": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        reject C1                      | 8 8 a 0/0 VENUE_REJECT
        trade C1 t1 1 venue_order_id=v99 age=0   | F 2 a 1/0; !FILL_AFTER_END
    """,
    "a live order that the venue shows under two numbers": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4 venue_order_id=v99 age=0 | F 1 a 0.4/0.6
    """,
    "a trade on the other side is not the order's": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 x1 0.4 side=2 age=0   | !BAD_TRADE
        trade C1 x1 0.4 side=2 venue_order_id=v99 age=0 | external x1; !EXTERNAL_FILL
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)


def test_an_id_of_ours_that_no_order_has() -> None:
    """Made up by hand, or of an order that a restored journal lacks: only an old one can be an order that is forgotten."""
    script = Script()
    made_up = script.world.state.install + "0010000ZZ7C01"
    assert script.line(f"trade {made_up} x1 0.3 side=2 age=60") == ["external x1", "!EXTERNAL_FILL"]
    assert script.line(f"trade {made_up} x1 0.3 side=2 age=60") == []
    for scope in ("a:" + ACCOUNT, "firm"):
        assert script.world.state.exposures[scope].symbols[SYMBOL].position == Decimal("-0.3")
    week_s = 7 * 86_400
    assert script.line(f"trade {made_up} x2 0.3 age={week_s}") == ["!FORGOTTEN_ORDER"]
    assert script.line(f"trade {made_up} x3 0.3") == ["!FORGOTTEN_ORDER"]
