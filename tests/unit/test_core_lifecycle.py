"""Orders from new to their end, and cancels. How to read the tables: core_script.py."""

import pytest
from core_script import play

STORIES = {
    "limit filled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        trade C1 t2 0.6@99             | F 2 a 1.0/0
        done C1 filled 1               | -
        status a                       | ?I 2 a 1.0/0
        cancel x a                     | 9.1 2 x<a TOO_LATE
        replace y a 2 @100             | 9.2 2 y<a TOO_LATE
    """,
    "fills before the ack": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        trade C1 t1 0.4                | 0 0 a 0/1; F 1 a 0.4/0.6
        ack C1                         | -
        trade C1 t1 0.4                | -
        trade C1 t2 0.6                | F 2 a 1.0/0
        ack C1                         | -
    """,
    "market": """
        new a buy 1                    | A A a 0/1; place C1 1@market IOC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        done C1 expired 0.4            | 4 4 a 0.4/0 IOC_REMAINDER
    """,
    "ioc": """
        new a buy 1 @100 tif=3         | A A a 0/1; place C1 1@100 IOC
        done C1 expired 0              | 0 0 a 0/1; 4 4 a 0/0 IOC_REMAINDER
    """,
    "fok": """
        new a buy 1 @100 tif=4         | A A a 0/1; place C1 1@100 FOK
        trade C1 t1 1                  | 0 0 a 0/1; F 2 a 1/0
    """,
    "rejected": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        reject C1                      | 8 8 a 0/0 VENUE_REJECT
        reject C1                      | -
        trade C1 t1 0.4                | F 4 a 0.4/0; !FILL_AFTER_END
    """,
    "venue cancels": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        done C1 canceled 0.4           | 4 4 a 0.4/0 VENUE_CANCEL
        trade C1 t2 0.1                | F 4 a 0.5/0; !FILL_AFTER_END
        trade C1 t3 0.5                | F 2 a 1.0/0; !FILL_AFTER_END
    """,
    "done before trades": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        trade C1 t1 0.2                | F 1 a 0.2/0.8
        +1s                            | query C1
        +1s                            | query C1
        answer C1 canceled cum=0.5 trades=t1:0.2,t2:0.3 | F 1 a 0.5/0.5; 4 4 a 0.5/0 VENUE_CANCEL
    """,
    "done before trades stream": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        done C1 filled                 | 0 0 a 0/1; query C1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        trade C1 t2 0.6                | F 2 a 1.0/0
    """,
    "done unsaid": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        done C1 canceled               | query C1
        answer C1 canceled checked=0   | -
        +1s                            | query C1
        answer C1 canceled trades=t1:0.2 | F 6 a 0.2/0.8; 4 4 b<a 0.2/0
    """,
    "stop": """
        new a sell 1 ord_type=3 stop_px=95 | A A a 0/1; 0 0 a 0/1
        trigger o1 95                  | place C1 1@market IOC
        ack C1                         | -
        trigger o1 95                  | -
        trade C1 t1 1@94               | F 2 a 1/0
    """,
    "stoplimit": """
        new a buy 1 @106 ord_type=4 stop_px=105 | A A a 0/1; 0 0 a 0/1
        cancel b a                     | 4 4 b<a 0/0
        trigger o1 105                 | -
    """,
    "stopreplace": """
        new a buy 1 @106 ord_type=4 stop_px=105 | A A a 0/1; 0 0 a 0/1
        replace b a 2 @107 ord_type=4 stop_px=106 | 5 0 b<a 0/2
        trigger o1 106                 | I 0 b 0/2; place C1 2@107 GTC
        ack C1                         | -
        trade C1 t1 2@106              | F 2 b 2/0
    """,
    "gtd": """
        new a buy 1 @100 tif=6 expire_ns=10 | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        +11s                           | cancel C1
        done C1 canceled 0             | C C a 0/0 EXPIRED
    """,
    "gtd race": """
        new a buy 1 @100 tif=6 expire_ns=10 | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        +11s                           | cancel C1
        trade C1 t1 1                  | F 2 a 1/0
        cancel-reject C1 unknown       | -
    """,
    "day": """
        new a buy 1 @100 tif=0         | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        +86400s                        | cancel C1
        done C1 canceled 0             | C C a 0/0 EXPIRED
    """,
    "cash": """
        new a buy cash_qty=250         | A A a 0/2.4; place C1 2.4@104.06 IOC
        new b buy @100 cash_qty=250 ord_type=2 | A A b 0/2.4; place C2 2.4@100 GTC
        new c sell cash_qty=250        | A A c 0/2.5; place C3 2.5@market IOC
        new d buy cash_qty=5           | 8 8 d 0/0 BAD_LOT
        new e buy 1 @100 cash_qty=5    | 8 8 e 0/0 INVALID_VALUE
    """,
    "dup": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        new a buy 2 @100               | 8 A a 0/1 DUPLICATE_CL_ORD_ID
        new a buy 2 @100 poss_resend=1 | ?I A a 0/1
        new b buy 1 @100 poss_resend=1 age=10 | A A b 0/1; place C2 1@100 GTC
        new c buy 1 @100 poss_resend=1 age=40 | 8 8 c 0/0 STALE_REQUEST
        new d buy 1 @100 poss_dup=1    | A A d 0/1; place C3 1@100 GTC
    """,
    "cancel": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.2                | F 1 a 0.2/0.8
        cancel b a                     | cancel C1; 6 6 b<a 0.2/0.8
        cancel c a                     | 9.1 6 c<a PENDING
        trade C1 t2 0.3                | F 6 a 0.5/0.5
        done C1 canceled 0.5           | 4 4 b<a 0.5/0
        cancel d b                     | 9.1 4 d<b TOO_LATE
        status b                       | ?I 4 b 0.5/0
        status a                       | ?I 4 b 0.5/0
    """,
    "cancel before ack": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        ack C1                         | 0 6 a 0/1
        done C1 canceled 0             | 4 4 b<a 0/0
    """,
    "cancel filled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        trade C1 t1 1                  | F 6 a 1/0; 9.1 2 b<a TOO_LATE
        cancel-reject C1 unknown       | -
    """,
    "cancel refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        cancel-reject C1               | 9.1 0 b<a CANCEL_FAILED
        cancel-reject C1               | -
        cancel-reject C1 unknown       | query C1
        answer C1 open cum=0           | -
        cancel c a                     | cancel C1; 6 6 c<a 0/1
        done C1 canceled 0             | 4 4 c<a 0/0
    """,
    "cancel unknown order": """
        cancel b zzz                   | 9.1 8 b<zzz UNKNOWN_ORDER
        replace c zzz 1 @100           | 9.2 8 c<zzz UNKNOWN_ORDER
        status zzz                     | ?I 8 zzz 0/0 UNKNOWN_ORDER
    """,
    "cancel ambiguous": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        ambiguous C1 cancel            | I 6 b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 error                | -
        +1s                            | query C1
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | 4 4 b<a 0/0
    """,
    "the place's answer is lost, the order is known": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        ambiguous C1 place             | -
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        ambiguous C1 place             | -
        ack C1                         | -
        done C1 canceled 0             | 4 4 b<a 0/0
        ambiguous C1 place             | -
    """,
    "cancel silence": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        +10s                           | I 6 b<a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 canceled cum=0       | 4 4 b<a 0/0
    """,
    "cancel refused unknown then open": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        cancel-reject C1 unknown       | query C1
        answer C1 filled cum=1 trades=t1:1 | F 6 a 1/0; 9.1 2 b<a TOO_LATE
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)
