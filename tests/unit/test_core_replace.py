"""Replaces in all their orders of events, and outcomes that are unknown. How to read the tables: core_script.py."""

import pytest
from core_script import play
from core_world import VENUE, World, core_settings

from fixgw.core.settings import VenueSettings

STORIES = {
    "named by the id that is pending": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        replace c b 3 @100             | 9.2 E c<a PENDING
        done C1 canceled 0             | place C2 2@100 GTC
        ack C2                         | 5 0 b<a 0/2
        replace d b 3 @100 order_id=NONE | cancel C2; E E d<b 0/2
    """,
    "replace": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        replace c a 3 @99              | 9.2 E c<a PENDING
        done C1 canceled 0             | place C2 2@99 GTC
        ack C2                         | 5 0 b<a 0/2
        trade C2 t1 2                  | F 2 b 2/0
        replace d b 1 @99              | 9.2 2 d<b TOO_LATE
    """,
    "replace of a partly filled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.3                | F 1 a 0.3/0.7
        replace b a 2 @99              | cancel C1; E E b<a 0.3/0.7
        trade C1 t2 0.1                | F E a 0.4/0.6
        done C1 canceled 0.4           | place C2 1.6@99 GTC
        trade C2 t3 0.5                | 5 1 b<a 0.4/1.6; F 1 b 0.9/1.1
        done C2 canceled 0.5           | 4 4 b 0.9/0 VENUE_CANCEL
    """,
    "replace down to what is done": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.3 @100           | cancel C1; E E b<a 0/1
        trade C1 t1 0.4                | F E a 0.4/0.6
        done C1 canceled 0.4           | 5 2 b<a 0.4/0
    """,
    "replace too late": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        trade C1 t1 1                  | F E a 1/0; place C2 1@100 GTC
        cancel-reject C1 unknown       | -
        ack C2                         | 5 1 b<a 1/1
        trade C2 t2 1                  | F 2 b 2/0
    """,
    "replace to no more, too late": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 1 @101             | cancel C1; E E b<a 0/1
        trade C1 t1 1                  | F E a 1/0; 9.2 2 b<a TOO_LATE
        cancel-reject C1 unknown       | -
    """,
    "replace to more, the rest refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        trade C1 t1 1                  | F E a 1/0; place C2 1@100 GTC
        reject C2                      | 9.2 2 b<a REPLACE_FAILED
        status a                       | ?I 2 a 1/0
    """,
    "replace to more, a price corrected meanwhile": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        trade C1 t1 1                  | F E a 1/0; place C2 1@100 GTC
        resolve o1 correct trade_id=t1 qty=1 px=101 | G E a 1/0 RESOLVED
        trade C2 t2 1                  | 5 1 b<a 1/1; F 2 b 2/0
    """,
    "the new child, unknown, resolved as canceled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        done C1 canceled 0             | place C2 2@100 GTC
        ambiguous C2 place             | I E b<a 0/1 OUTCOME_UNKNOWN; query C2
        resolve o1 canceled            | 5 0 b<a 0/2; 4 4 b 0/0 RESOLVED
    """,
    "replace to more, canceled behind it": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        trade C1 t1 1                  | F E a 1/0; place C2 1@100 GTC
        cancel c a                     | 5 1 b<a 1/1; cancel C2; 6 6 c<b 1/1
        done C2 canceled 0             | 4 4 c<b 1/0
    """,
    "place unknown, resolved as canceled under a replace": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 3 @100             | cancel C1; E E b<a 0/1
        ambiguous C1 place             | I E a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 canceled            | place C2 3@100 GTC
        ack C2                         | 5 0 b<a 0/3
    """,
    "replace first leg refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        cancel-reject C1               | 9.2 0 b<a CANCEL_FAILED
        replace c a 2 @100             | cancel C1; E E c<a 0/1
        done C1 canceled 0             | place C2 2@100 GTC
        ack C2                         | 5 0 c<a 0/2
    """,
    "replace first leg unknown": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        ambiguous C1 cancel            | I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 open cum=0           | cancel C1
        ambiguous C1 cancel            | I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 canceled cum=0.4 trades=t1:0.4 | F E a 0.4/0.6; place C2 1.6@100 GTC
        ack C2                         | 5 1 b<a 0.4/1.6
    """,
    "replace before ack": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        ack C1                         | 0 E a 0/1
        done C1 canceled 0             | place C2 2@100 GTC
        ack C2                         | 5 0 b<a 0/2
    """,
    "replace of what is refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @100             | cancel C1; E E b<a 0/1
        reject C1                      | 8 8 a 0/0 VENUE_REJECT; 9.2 8 b<a TOO_LATE
    """,
    "replace second leg refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.2                | F 1 a 0.2/0.8
        replace b a 2 @99              | cancel C1; E E b<a 0.2/0.8
        done C1 canceled 0.2           | place C2 1.8@99 GTC
        reject C2                      | 9.2 1 b<a REPLACE_FAILED; 4 4 a 0.2/0 REPLACE_FAILED
        status a                       | ?I 4 a 0.2/0 REPLACE_FAILED
    """,
    "replace second leg unknown open": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        done C1 canceled 0             | place C2 2@99 GTC
        ambiguous C2 place             | I E b<a 0/1 OUTCOME_UNKNOWN; query C2
        status b                       | ?I E b<a 0/1 OUTCOME_UNKNOWN
        answer C2 open cum=0           | 5 0 b<a 0/2
    """,
    "replace second leg unknown notfound": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        done C1 canceled 0             | place C2 2@99 GTC
        ambiguous C2 place             | I E b<a 0/1 OUTCOME_UNKNOWN; query C2
        +8s                            | query C2
        answer C2 not_found            | -
        +8s                            | query C2
        answer C2 not_found            | 9.2 0 b<a REPLACE_FAILED; 4 4 a 0/0 REPLACE_FAILED
    """,
    "replace second leg done before ack": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        done C1 canceled 0             | place C2 2@99 GTC
        done C2 filled                 | 5 0 b<a 0/2; query C2
        trade C2 t1 2                  | F 2 b 2/0
    """,
    "cancel in first leg": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        cancel c a                     | 9.2 0 b<a SUPERSEDED; 6 6 c<a 0/1
        done C1 canceled 0             | 4 4 c<a 0/0
    """,
    "cancel in second leg": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        done C1 canceled 0             | place C2 2@99 GTC
        cancel c a                     | 5 0 b<a 0/2; cancel C2; 6 6 c<b 0/2
        ack C2                         | -
        trade C2 t1 0.5                | F 6 b 0.5/1.5
        done C2 canceled 0.5           | 4 4 c<b 0.5/0
    """,
    "cancel in second leg refused place": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        done C1 canceled 0             | place C2 2@99 GTC
        cancel c b                     | 5 0 b<a 0/2; cancel C2; 6 6 c<b 0/2
        reject C2                      | 4 4 c<b 0/0 VENUE_REJECT
    """,
    "kill in first leg": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        kill HALTED firm               | firm HALTED
        done C1 canceled 0             | 9.2 0 b<a REPLACE_FAILED; 4 4 a 0/0 KILLED
    """,
    "kill in second leg": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.6                | F 1 a 0.6/0.4
        replace b a 2 @99              | cancel C1; E E b<a 0.6/0.4
        done C1 canceled 0.6           | place C2 1.4@99 GTC
        kill HALTED session OMS44      | session OMS44 HALTED; 5 1 b<a 0.6/1.4; cancel C2
        ack C2                         | -
        trade C2 t2 1.4                | F 2 b 2.0/0
        cancel-reject C2 unknown       | -
    """,
    "venue down between legs": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        link down                      | DOWN; I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        link up                        | DOWN; RECONCILING; reconcile
        reconciled                     | query C1; READY
        answer C1 canceled cum=0       | place C2 2@99 GTC
    """,
    "replace refusals": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        replace b a 2 @100             | 9.2 A b<a OUTCOME_UNKNOWN
        answer C1 open cum=0           | 0 0 a 0/1
        replace c a 2 @100.001         | 9.2 0 c<a BAD_TICK
        replace d a 2 @100 side=sell   | 9.2 0 d<a MISMATCH
        replace e a 2                  | 9.2 0 e<a UNSUPPORTED
        replace a a 2 @100             | 9.2 0 a<a DUPLICATE_CL_ORD_ID
        replace f a 2 @100 order_id=XYZ | 9.2 0 f<a MISMATCH
        link down                      | DOWN
        replace g a 2 @100             | 9.2 0 g<a VENUE_DOWN
        new m buy 1                    | 8 8 m 0/0 VENUE_DOWN
        link up                        | DOWN; RECONCILING; reconcile
        new n buy 1 @100               | 8 8 n 0/0 RECONCILING
        cancel h a                     | cancel C1; 6 6 h<a 0/1
        reconciled open=C1             | cancel C1; READY
        cancel i a                     | 9.1 6 i<a PENDING
    """,
    "place unknown open": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        status a                       | ?I A a 0/1 OUTCOME_UNKNOWN
        answer C1 open cum=0.2 trades=t1:0.2 | 0 0 a 0/1; F 1 a 0.2/0.8
    """,
    "place unknown filled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        +10s                           | I A a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 filled cum=1 trades=t1:1 | 0 0 a 0/1; F 2 a 1/0
    """,
    "place unknown canceled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 canceled cum=0       | 0 0 a 0/1; 4 4 a 0/0 VENUE_CANCEL
    """,
    "place unknown ack": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        ack C1                         | 0 0 a 0/1
    """,
    "place unknown reject": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        reject C1                      | 8 8 a 0/0 VENUE_REJECT
    """,
    "not found": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 not_found            | -
        +1s                            | query C1
        answer C1 not_found            | -
        +7.1s                          | query C1
        answer C1 not_found checked=0  | -
        answer C1 not_found asked=1    | -
        answer C1 not_found            | -
        answer C1 not_found asked=0.002 | -
        +1s                            | query C1
        answer C1 not_found            | 8 8 a 0/0 NOT_PLACED
        ack C1                         | orphan C1; !ORPHAN
    """,
    "not found after a long outage": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1; !OUTCOME_UNKNOWN
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        +31s                           | query C1
        answer C1 not_found checked=0  | -
        +1s                            | -
        answer C1 not_found            | -
        +1s                            | query C1
        answer C1 not_found            | 8 8 a 0/0 NOT_PLACED
    """,
    "not found with trades": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        +9s                            | query C1
        answer C1 not_found trades=t1:0.4 | 0 0 a 0/1; F 1 a 0.4/0.6; query C1
        +9s                            | query C1
        answer C1 filled cum=1 trades=t1:0.4,t2:0.6 | F 2 a 1.0/0
    """,
    "cancel of unknown": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        cancel-reject C1 unknown       | query C1
        +9s                            | query C1
        answer C1 not_found            | -
        +9s                            | query C1
        answer C1 not_found            | 4 4 b<a 0/0 NOT_PLACED
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)


# a venue that reduces in place
AMENDS = {
    "amend": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        amended C1 0.6                 | 5 0 b<a 0/0.6
        amended C1 0.6                 | -
        trade C1 t1 0.6                | F 2 b 0.6/0
    """,
    "amend of a partly filled, twice": """
        new a buy 2 @100               | A A a 0/2; place C1 2@100 GTC
        ack C1                         | 0 0 a 0/2
        trade C1 t1 0.5                | F 1 a 0.5/1.5
        replace b a 1.5 @100           | amend C1 1.5; E E b<a 0.5/1.5
        trade C1 t2 0.2                | F E a 0.7/1.3
        amended C1 1.5                 | 5 1 b<a 0.7/0.8
        replace c b 0.9 @100           | amend C1 0.9; E E c<b 0.7/0.8
        amended C1 0.9                 | 5 1 c<b 0.7/0.2
        done C1 filled 0.9             | query C1
        answer C1 filled cum=0.9 trades=t1:0.5,t2:0.2,t3:0.2 | F 2 c 0.9/0
    """,
    "amend of a replaced order": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        replace b a 2 @99              | cancel C1; E E b<a 0.4/0.6
        done C1 canceled 0.4           | place C2 1.6@99 GTC
        ack C2                         | 5 1 b<a 0.4/1.6
        replace c b 1 @99              | amend C2 0.6; E E c<b 0.4/1.6
        ack C2                         | -
        amended C2 0.6                 | 5 1 c<b 0.4/0.6
        trade C2 t2 0.6                | F 2 c 1.0/0
    """,
    "only what takes from the quantity": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 0.6 @100           | cancel C1; E E b<a 0/1
        ack C1                         | 0 E a 0/1
        done C1 canceled 0             | place C2 0.6@100 GTC
        ack C2                         | 5 0 b<a 0/0.6
        replace c b 0.5 @99            | cancel C2; E E c<b 0/0.6
        done C2 canceled 0             | place C3 0.5@99 GTC
        ack C3                         | 5 0 c<b 0/0.5
        replace d c 0.7 @99            | cancel C3; E E d<c 0/0.5
        done C3 canceled 0             | place C4 0.7@99 GTC
        ack C4                         | 5 0 d<c 0/0.7
        trade C4 t1 0.3                | F 1 d 0.3/0.4
        replace e d 0.3 @99            | cancel C4; E E e<d 0.3/0.4
        done C4 canceled 0.3           | 5 2 e<d 0.3/0
    """,
    "refused by the venue": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        amend-reject C1                | cancel C1
        amend-reject C1                | -
        trade C1 t1 0.7                | F E a 0.7/0.3
        done C1 canceled 0.7           | 5 2 b<a 0.7/0
    """,
    "outcome unknown": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        ambiguous C1 amend             | I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        ambiguous C1 amend             | -
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | place C2 0.6@100 GTC
        ack C2                         | 5 0 b<a 0/0.6
    """,
    "no answer in time, then the answer": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        +60s                           | I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        amended C1 0.6                 | -
        answer C1 open cum=0           | cancel C1
        trade C1 t1 0.6                | F E a 0.6/0.4; 5 2 b<a 0.6/0
    """,
    "the host is lost": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        link down                      | DOWN; I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        link up                        | DOWN; RECONCILING; reconcile
        reconciled open=C1:0           | cancel C1; READY
        done C1 canceled 0             | place C2 0.6@100 GTC
        ack C2                         | 5 0 b<a 0/0.6
    """,
    "filled first": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        trade C1 t1 1                  | F E a 1/0; 9.2 2 b<a TOO_LATE
        amend-reject C1                | -
    """,
    "amended, and traded at once": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        trade C1 t1 0.6                | F E a 0.6/0.4
        amended C1 0.6                 | 5 2 b<a 0.6/0
    """,
    "ended before the answer": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        trade C1 t1 0.6                | F E a 0.6/0.4
        done C1 filled 0.6             | 5 2 b<a 0.6/0
        amended C1 0.6                 | -
    """,
    "a cancel goes over it": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        cancel c a                     | 9.2 0 b<a SUPERSEDED; cancel C1; 6 6 c<a 0/1
        amended C1 0.6                 | -
        cancel-reject C1               | 9.1 0 c<a CANCEL_FAILED
        trade C1 t1 0.6                | F 1 a 0.6/0.4; 4 4 a 0.6/0 VENUE_CANCEL
        done C1 filled 0.6             | -
    """,
    "carried out or not, and the cancel is refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        ambiguous C1 amend             | I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 open cum=0           | cancel C1
        cancel-reject C1               | !CANCEL_REFUSED
        +60s                           | I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | place C2 0.6@100 GTC
        ack C2                         | 5 0 b<a 0/0.6
    """,
    "given up, then refused after all": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        cancel c a                     | 9.2 0 b<a SUPERSEDED; cancel C1; 6 6 c<a 0/1
        amend-reject C1                | -
        cancel-reject C1               | 9.1 0 c<a CANCEL_FAILED
        trade C1 t1 1                  | F 2 a 1/0
    """,
    "a kill goes over it": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        kill HALTED firm               | firm HALTED; cancel C1
        amended C1 0.6                 | -
        done C1 canceled 0             | 9.2 0 b<a REPLACE_FAILED; 4 4 a 0/0 KILLED
    """,
    "another quantity than was asked": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        amended C1 0.5                 | !BAD_VENUE_DATA; I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        amended C1 0.6                 | -
    """,
    "no number at all": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        replace b a 0.6 @100           | amend C1 0.6; E E b<a 0/1
        amended C1 NaN                 | !BAD_VENUE_DATA; !BAD_VENUE_DATA; I E b<a 0/1 OUTCOME_UNKNOWN; query C1
        amended C1 NaN                 | !BAD_VENUE_DATA
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | place C2 0.6@100 GTC
    """,
}


@pytest.mark.parametrize("story", AMENDS.values(), ids=AMENDS)
def test_story_at_a_venue_that_amends(story: str) -> None:
    play(story, World(core_settings(venues={VENUE: VenueSettings(name=VENUE, can_amend=True)})))
