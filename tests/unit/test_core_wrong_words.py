"""A venue that tells a thing that is not so, once: ends of orders that work, quantities that cannot be, one impossible trade.
No order that works may be taken for finished, none may become impossible to cancel. How to read the tables: core_script.py."""

from decimal import Decimal

import msgspec
import pytest
from core_script import play
from core_world import VENUE

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.codec import decode_record
from fixgw.core.decide import decide
from fixgw.core.replay import apply_record
from fixgw.core.state import new_state
from fixgw.core.statehash import state_hash

STORIES = {
    # --- ends that cannot be ---
    "an end with more than was ordered": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 99999           | !BAD_VENUE_DATA; query C1
        done C1 canceled 99999         | !BAD_VENUE_DATA
        answer C1 open cum=0           | -
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        cancel b a                     | cancel C1; 6 6 b<a 0.4/0.6
        done C1 canceled 0.4           | 4 4 b<a 0.4/0
    """,
    "the same in an answer": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 filled cum=99999     | !BAD_VENUE_DATA
        +1s                            | query C1
        answer C1 open cum=0           | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        done C1 canceled 0             | 4 4 b<a 0/0
    """,
    "filled with nothing executed": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 filled cum=0         | !BAD_VENUE_DATA
        +1s                            | query C1
        answer C1 open cum=0           | 0 0 a 0/1
        done C1 filled 0               | !BAD_VENUE_DATA; query C1
        answer C1 open cum=0           | -
        trade C1 t1 1                  | F 2 a 1/0
    """,
    "filled with a part executed": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        done C1 filled 0.4             | !BAD_VENUE_DATA; query C1
        answer C1 filled cum=0.5       | !BAD_VENUE_DATA
        +1s                            | query C1
        answer C1 canceled cum=0.4     | 4 4 a 0.4/0 VENUE_CANCEL
    """,
    "an order that was made smaller without our knowing": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        done C1 filled 0.4             | !BAD_VENUE_DATA; query C1
        answer C1 filled cum=0.4 trades=t1:0.4 | !BAD_VENUE_DATA
        +1s                            | query C1
        answer C1 filled cum=0.4 trades=t1:0.4 | !BAD_VENUE_DATA
        +2s                            | query C1
        answer C1 filled cum=0.4 trades=t1:0.4 | !BAD_VENUE_DATA
        +4s                            | query C1
        answer C1 filled cum=0.4 trades=t1:0.4 | 4 4 a 0.4/0 VENUE_CANCEL
    """,
    "a market order is counted in money somewhere": """
        new a buy 1                    | A A a 0/1; place C1 1@market IOC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        done C1 filled 0.4             | 4 4 a 0.4/0 VENUE_CANCEL
    """,
    "what cannot be is asked for at the pace of the back-off": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 0.1             | !BAD_VENUE_DATA; query C1
        answer C1 filled cum=5         | !BAD_VENUE_DATA
        answer C1 filled cum=5         | !BAD_VENUE_DATA
        +1s                            | query C1
        answer C1 filled cum=5         | !BAD_VENUE_DATA
        +1s                            | query C1
        +1s                            | -
        +1s                            | query C1
        +3s                            | -
        +1s                            | query C1; !OUTCOME_UNKNOWN
    """,
    "trades in the answer make an end possible": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.7                | F 1 a 0.7/0.3
        done C1 filled 1.2             | !BAD_VENUE_DATA; query C1
        answer C1 filled cum=1.2 trades=t1:0.7,t2:0.5 | F 2 a 1.2/0; !OVERFILL
    """,
    # --- ends that can be, and are not so ---
    "an end that a later answer contradicts": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        +0.1s                          | -
        answer C1 open cum=0           | !BAD_VENUE_DATA
        +2s                            | query C1
        answer C1 open cum=0           | -
        +60s                           | -
        trade C1 t1 0.5                | F 1 a 0.5/0.5
        trade C1 t2 0.5                | F 2 a 1.0/0
    """,
    "an old answer that comes late": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        answer C1 open asked=1 cum=0   | -
        +1s                            | query C1
        answer C1 canceled cum=0.5 trades=t1:0.5 | F 1 a 0.5/0.5; 4 4 a 0.5/0 VENUE_CANCEL
    """,
    "an answer that lags behind the venue's own word": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        +0.1s                          | -
        answer C1 open cum=0           | !BAD_VENUE_DATA
        trade C1 t1 0.5                | F 1 a 0.5/0.5
        +1s                            | query C1
        answer C1 canceled cum=0.5     | 4 4 a 0.5/0 VENUE_CANCEL
    """,
    "trades that happen to come to the figure of a false end": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        trade C1 t1 0.5                | F 1 a 0.5/0.5
        done C1 canceled 0.5           | -
        answer C1 open cum=0.5         | !BAD_VENUE_DATA
        +3s                            | query C1
        answer C1 open cum=0.5         | -
        trade C1 t2 0.5                | F 2 a 1.0/0
    """,
    "and of a true one whose question was lost": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        +1s                            | query C1
        +1s                            | query C1
        +2s                            | query C1
        trade C1 t1 0.5                | F 1 a 0.5/0.5; query C1
        answer C1 canceled cum=0.5     | 4 4 a 0.5/0 VENUE_CANCEL
    """,
    "a picture lists it as open": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        reconciled open=C1             | query C1
        +3s                            | query C1
        reconciled open=C1             | !BAD_VENUE_DATA; query C1
        answer C1 open cum=0           | -
        trade C1 t1 1                  | F 2 a 1/0
    """,
    "a venue that shows no ended orders: not found": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        answer C1 not_found            | -
        trade C1 t1 0.5                | F 1 a 0.5/0.5
        answer C1 not_found            | -
        +3s                            | query C1
        answer C1 not_found            | 4 4 a 0.5/0 VENUE_CANCEL
    """,
    "a venue that shows no ended orders: a picture": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        reconciled trades=C1:t1:0.5    | F 1 a 0.5/0.5; query C1
        answer C1 error                | -
        +3s                            | query C1
        answer C1 error                | -
        reconciled                     | 4 4 a 0.5/0 VENUE_CANCEL
    """,
    # --- cancels go out in any case ---
    "the client's cancel": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        cancel c b                     | 9.1 6 c<a PENDING
        done C1 canceled 0             | 4 4 b<a 0/0
    """,
    "the client's cancel of what has ended": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        cancel-reject C1 unknown       | -
        trade C1 t1 1                  | F 6 a 1/0; 9.1 2 b<a TOO_LATE
    """,
    "a cancel that the venue refuses": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        cancel-reject C1               | 9.1 0 b<a CANCEL_FAILED
        cancel c a                     | cancel C1; 6 6 c<a 0/1
        done C1 canceled 0             | 4 4 c<a 0/0
    """,
    "a cancel that was lost goes out again once it is known to work": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        ambiguous C1 cancel            | I 6 b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 open cum=0           | !BAD_VENUE_DATA
        +3s                            | query C1
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | 4 4 b<a 0/0
    """,
    "kill switch": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        new b buy 1 @100               | A A b 0/1; place C2 1@100 GTC
        ambiguous C2 place             | I A b 0/1 OUTCOME_UNKNOWN; query C2
        done C1 filled 1               | query C1
        kill HALTED firm               | firm HALTED; cancel C1; cancel C2
        done C1 canceled 0             | 4 4 a 0/0 KILLED
        done C2 canceled 0             | 0 0 b 0/1; 4 4 b 0/0 KILLED
    """,
    "operations": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        admin-cancel o1                | cancel C1
        admin-cancel o1                | refused: order o1 is being canceled already (ADMIN_CANCEL)
        cancel-reject C1 unknown       | -
        admin-cancel o1                | cancel C1
        done C1 canceled 0             | 4 4 a 0/0 ADMIN_CANCEL
    """,
    "a kill switch before the answer that reopens it": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        kill HALTED firm               | firm HALTED; cancel C1
        cancel-reject C1               | !CANCEL_REFUSED
        answer C1 open cum=0           | !BAD_VENUE_DATA
        +3s                            | query C1
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | 4 4 a 0/0 KILLED
    """,
    # --- trades that cannot be ---
    "one trade of more than the whole order": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 99999              | !BAD_TRADE; query C1
        trade C1 t1 99999              | !BAD_TRADE
        answer C1 open cum=0.4 trades=t1:0.4 | F 1 a 0.4/0.6
        trade C1 t1 0.4                | -
        trade C1 t2 0.6                | F 2 a 1.0/0
    """,
    "the same in an answer and in a picture": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        reconciled open=C1:0.4 trades=C1:t1:99999 | !BAD_TRADE; query C1
        answer C1 canceled cum=0.4 trades=t1:99999 | !BAD_TRADE
        +1s                            | query C1
        answer C1 canceled cum=0.4 trades=t1:0.4 | F 1 a 0.4/0.6; 4 4 a 0.4/0 VENUE_CANCEL
        trade C1 t2 99999              | !BAD_TRADE; query C1
        answer C1 canceled cum=0.4 trades=t2:99999 | !BAD_TRADE
        +60s                           | -
    """,
    "an open order of ours whose figures are none is there: it is asked for, and not found does not count": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        reconciled open=C1:NaN         | !BAD_VENUE_DATA; !BAD_VENUE_DATA; 0 0 a 0/1; query C1
        answer C1 not_found            | -
        +60s                           | query C1
        answer C1 not_found            | -
        reconciled open=C1:NaN,xx:NaN  | !BAD_VENUE_DATA; !BAD_VENUE_DATA; query C1
        answer C1 open cum=0.4 trades=t1:0.4 | F 1 a 0.4/0.6
    """,
    "several that come to more are the venue's word": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.7                | F 1 a 0.7/0.3
        trade C1 t2 1                  | F 2 a 1.7/0; !OVERFILL
    """,
    "a price far beyond the limit": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        trade C1 t1 0.5@100000         | 0 0 a 0/1; F 1 a 0.5/0.5; !BEYOND_LIMIT
        trade C1 t2 0.1@0.1            | F 1 a 0.6/0.4
        new b sell 1 @100              | A A b 0/1; place C2 1@100 GTC
        trade C2 t3 0.5@0.1            | 0 0 b 0/1; F 1 b 0.5/0.5; !BEYOND_LIMIT
        trade C2 t4 0.5@99             | F 2 b 1.0/0
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)


CLOSING = """
    new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
    ack C1                         | 0 0 a 0/1
    done C1 canceled 0.5           | query C1
"""


def test_a_journal_from_before_the_time_of_an_end_was_kept() -> None:
    """It is replayed as it was; an order that was closing then is reopened by any answer."""
    script = play(CLOSING)
    state, live = new_state(), script.world.state
    for payload in script.world.records:
        raw = msgspec.msgpack.decode(payload)
        for row in raw[-1]:
            if row[0] == "childclosing":
                del row[-1]
        apply_record(state, decode_record(msgspec.msgpack.encode(raw)))
    child = state.children[script.children[0]]
    assert (child.state, child.closed_ns) == ("closing", 0)
    child.closed_ns = live.children[script.children[0]].closed_ns
    assert state_hash(state) == state_hash(live), "nothing else differs"
    child.closed_ns = 0
    events = decide(
        state,
        c.ChildQueryResult(
            ts_ns=script.world.tick(), venue=VENUE, venue_cl_ord_id=script.children[0], outcome="open", asked_ns=1
        ),
    )
    assert any(isinstance(event, e.ChildReopened) for event in events)


def test_a_storm_of_wrong_words_asks_no_more_than_one() -> None:
    """Whether it lives or has ended: each is alerted, few are asked about."""
    for end, most in (("", 1), ("done C1 canceled 0", 12)):
        script = play("""
            new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
            ack C1                         | 0 0 a 0/1
        """)
        if end:
            script.line(end)
        asked = alerts = 0
        for number in range(200):
            trade = script._make_trade("C1", f"t{number}", "99999")
            for word in (
                c.ChildTrade(ts_ns=script.world.tick(), venue=VENUE, trade=trade),
                c.ChildDone(
                    ts_ns=script.world.tick(), venue=VENUE, venue_cl_ord_id=script.children[0], venue_order_id="vC1",
                    status="filled", cum_qty=Decimal(99999 + number),
                ),
            ):  # fmt: skip
                events = script.world.run(word)
                asked += sum(isinstance(event, e.ChildQueried) for event in events)
                alerts += sum(isinstance(event, e.Alerted) for event in events)
        script.world.check()
        assert asked <= most and alerts >= 200
