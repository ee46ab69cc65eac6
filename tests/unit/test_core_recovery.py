"""Outages, restarts, kill switches, operations, busts. How to read the tables: core_script.py."""

from itertools import pairwise

import pytest
from core_script import Script, play
from core_world import World, core_settings

from fixgw.admin.views import order_row
from fixgw.core.reconcile import EARLY_MAX

LOOSENS = (
    "a kill at level REDUCING would loosen that; only `fixgw resume --SCOPE` does, and `fixgw kill --SCOPE --level REDUCING` "
    "after it where that is meant"
)
STORIES = {
    "down and up": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        new b buy 1 @99                | A A b 0/1; place C2 1@99 GTC
        new c buy 1 @98                | A A c 0/1; place C3 1@98 GTC
        cancel d a                     | cancel C1; 6 6 d<a 0/1
        link down                      | DOWN; I 6 d<a 0/1 OUTCOME_UNKNOWN; query C1; I A b 0/1 OUTCOME_UNKNOWN; query C2
                                       | I A c 0/1 OUTCOME_UNKNOWN; query C3
        cancel e b                     | cancel C2; 6 6 e<b 0/1
        link up                        | DOWN; I 6 e<b 0/1 OUTCOME_UNKNOWN; query C2; RECONCILING; reconcile
        reconciled open=C1:0.3,C2:0    | query C1; 0 6 b 0/1; cancel C2; query C3; READY
        answer C1 canceled cum=0.3 trades=t1:0.3 | F 6 a 0.3/0.7; 4 4 d<a 0.3/0
        done C2 canceled 0             | 4 4 e<b 0/0
        answer C3 not_found            | -
        +9s                            | query C3
        answer C3 not_found            | -
        +9s                            | query C3
        answer C3 not_found            | 8 8 c 0/0 NOT_PLACED
    """,
    "fills while down": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        link down                      | DOWN
        link up                        | DOWN; RECONCILING; reconcile
        reconciled trades=C1:t1:0.4    | F 1 a 0.4/0.6; query C1; READY
        answer C1 error                | -
        +1s                            | query C1
        answer C1 filled cum=1 trades=t1:0.4,t2:0.6 | F 2 a 1.0/0
    """,
    "fill of an unnamed order": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        link down                      | DOWN
        link up                        | DOWN; RECONCILING; reconcile
        reconciled trades=?C1:t1:1     | external t1; !EXTERNAL_FILL; query C1; READY
        answer C1 filled cum=1 trades=t1:1 | !EXTERNAL_FILL; 0 0 a 0/1; F 2 a 1/0
        reconciled trades=?C1:t1:1     | -
    """,
    "orphan": """
        reconciled open=ABCDE0010000099C01,someone | orphan ABCDE0010000099C01; !ORPHAN
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        reconciled open=C1             | 0 0 a 0/1
        reject C1                      | !REJECT_AFTER_ACK; query C1
        link down                      | DOWN
        link up                        | DOWN; RECONCILING; reconcile
        reconciled open=C1             | query C1; READY
        answer C1 open cum=0           | -
        reconciled open=C1             | -
    """,
    "external": """
        trade zz x1 0.5                | external x1; !EXTERNAL_FILL
        trade zz x1 0.5                | -
        trade zz x2 0                  | !BAD_TRADE
    """,
    "external same number other symbol": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade zz x1 0.5 symbol=ETH/USDT venue_order_id=vC1 | external x1; !EXTERNAL_FILL
        trade ?C1 x2 0.5               | F 1 a 0.5/0.5
    """,
    "restart in flight": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        new b buy 1 @99                | A A b 0/1; place C2 1@99 GTC
        ack C2                         | 0 0 b 0/1
        cancel c b                     | cancel C2; 6 6 c<b 0/1
        new s sell 1 ord_type=3 stop_px=95 | A A s 0/1; 0 0 s 0/1
        restart                        | DOWN; I A a 0/1 OUTCOME_UNKNOWN; query C1; I 6 c<b 0/1 OUTCOME_UNKNOWN; query C2
        status a                       | ?I A a 0/1 OUTCOME_UNKNOWN
        new d buy 1 @100               | 8 8 d 0/0 VENUE_DOWN
        cancel e a                     | cancel C1; 6 6 e<a 0/1
        link up                        | DOWN; I 6 e<a 0/1 OUTCOME_UNKNOWN; query C1; RECONCILING; reconcile
        trigger o3 95                  | -
        reconciled open=C1:0,C2:0      | 0 6 a 0/1; cancel C1; cancel C2; READY
        trigger o3 95                  | place C3 1@market IOC
        done C1 canceled 0             | 4 4 e<a 0/0
        done C2 canceled 0             | 4 4 c<b 0/0
    """,
    "nobody is asked while the host is away": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        link down                      | DOWN; I A a 0/1 OUTCOME_UNKNOWN; query C1
        +100s                          | -
        link up                        | DOWN; RECONCILING; reconcile
        +1s                            | query C1
        answer C1 not_found            | -
        +1s                            | query C1
        answer C1 not_found            | 8 8 a 0/0 NOT_PLACED
    """,
    "restart without the records that the projection knew": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        restart clean=0 projected=9999 | DOWN; firm HALTED; !RECORDS_LOST
        link up                        | DOWN; RECONCILING; reconcile
        reconciled open=C1             | READY
        new b buy 1 @100               | 8 8 b 0/0 HALTED
        resume firm                    | firm ACTIVE
    """,
    "restart with a projection that is behind": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        restart clean=0 projected=1    | DOWN
    """,
    "restart after power loss": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        restart clean=0 rebooted=1 sync=os | DOWN; firm HALTED; !UNCLEAN_START
        link up                        | DOWN; RECONCILING; reconcile
        reconciled open=C1             | READY
        new b buy 1 @100               | 8 8 b 0/0 HALTED
        resume firm                    | firm ACTIVE
        new c buy 1 @100               | A A c 0/1; place C2 1@100 GTC
    """,
    "kill": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        new b sell 1 ord_type=3 stop_px=95 | A A b 0/1; 0 0 b 0/1
        new c buy 1 @100 as=OMS42      | A A c 0/1; place C2 1@100 GTC
        ambiguous C2 place             | I A c 0/1 OUTCOME_UNKNOWN; query C2
        kill HALTED session OMS44      | session OMS44 HALTED; cancel C1; 4 4 b 0/0 KILLED
        new d buy 1 @100               | 8 8 d 0/0 HALTED
        replace e a 2 @100             | 9.2 0 e<a PENDING
        kill HALTED firm               | firm HALTED; cancel C2
        kill HALTED firm               | firm HALTED
        admin-cancel o1                | refused: order o1 is being canceled already (KILLED)
        cancel f a                     | 6 6 f<a 0/1
        done C1 canceled 0             | 4 4 f<a 0/0
        new g buy 1 @100 as=OMS42      | 8 8 g 0/0 HALTED
        restart                        | DOWN; I A c 0/1 OUTCOME_UNKNOWN; query C2
        resume firm                    | firm ACTIVE
        link up                        | DOWN; RECONCILING; reconcile
        reconciled                     | query C2; READY
        +9s                            | query C2
        answer C2 not_found            | -
        +9s                            | query C2; !OUTCOME_UNKNOWN
        answer C2 not_found            | 4 4 c 0/0 KILLED
        new h buy 1 @100 as=OMS42      | A A h 0/1; place C3 1@100 GTC
        new i buy 1 @100               | 8 8 i 0/0 HALTED
        resume session OMS44           | session OMS44 ACTIVE
        new j buy 1 @100               | A A j 0/1; place C4 1@100 GTC
    """,
    "kill cancel refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        kill HALTED venue sim          | venue sim HALTED; cancel C1
        cancel-reject C1               | !CANCEL_REFUSED
        admin-cancel o1                | refused: order o1 is being canceled already (KILLED)
        +10s                           | I 0 a 0/1 OUTCOME_UNKNOWN; query C1
        answer C1 open cum=0           | cancel C1
        done C1 canceled 0             | 4 4 a 0/0 KILLED
        kill HALTED venue nowhere      | refused: venue 'nowhere' is unknown: expected one of sim
        kill STOP firm                 | refused: level 'STOP': expected one of REDUCING, HALTED
        resume moon x                  | refused: scope 'moon': expected firm, session or venue
    """,
    "a kill never loosens one": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        kill REDUCING firm             | firm REDUCING
        kill HALTED firm               | firm HALTED; cancel C1
        kill REDUCING firm             | refused: firm is HALTED already, and stays so: {firm}
        new b buy 1 @100               | 8 8 b 0/0 HALTED
        kill REDUCING session OMS44    | session OMS44 REDUCING
        kill REDUCING session OMS44    | session OMS44 REDUCING
        kill HALTED session OMS44      | session OMS44 HALTED
        kill REDUCING session OMS44    | refused: session OMS44 is HALTED already, and stays so: {session OMS44}
        kill HALTED venue sim          | venue sim HALTED
        restart                        | DOWN; I 0 a 0/1 OUTCOME_UNKNOWN; query C1
        kill REDUCING venue sim        | refused: venue sim is HALTED already, and stays so: {venue sim}
        resume firm                    | firm ACTIVE
        kill REDUCING firm             | firm REDUCING
        resume venue sim               | venue sim ACTIVE
        kill REDUCING venue sim        | venue sim REDUCING
    """.format_map({scope: LOOSENS.replace("SCOPE", scope) for scope in ("firm", "session OMS44", "venue sim")}),
    "reducing": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 1                  | F 2 a 1/0
        kill REDUCING firm             | firm REDUCING
        new b buy 0.1 @100             | 8 8 b 0/0 REDUCING
        new c sell 0.6 @100            | A A c 0/0.6; place C2 0.6@100 GTC
        new d sell 0.6 @100            | 8 8 d 0/0 REDUCING
        new e sell 0.4 @100            | A A e 0/0.4; place C3 0.4@100 GTC
        cancel f c                     | cancel C2; 6 6 f<c 0/0.6
    """,
    "disconnect": """
        new a buy 1 @100 as=OMS42      | A A a 0/1; place C1 1@100 GTC
        logon OMS42                    | -
        new b buy 1 @100 as=OMS42      | A A b 0/1; place C2 1@100 GTC
        ack C1                         | 0 0 a 0/1
        ack C2                         | 0 0 b 0/1
        cancel c b as=OMS42            | cancel C2; 6 6 c<b 0/1
        logout OMS42                   | cancel C1
        logout OMS42                   | -
        done C1 canceled 0             | 4 4 a 0/0 DISCONNECT
        done C2 canceled 0             | 4 4 c<b 0/0
    """,
    "disconnect stays": """
        logon OMS44                    | -
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        logout OMS44                   | -
    """,
    "resolve not placed": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 not_placed          | 8 8 a 0/0 NOT_PLACED
        resolve o1 not_placed          | refused: order o1: nothing of it works or is unknown at a venue
    """,
    "resolve canceled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 canceled 0.5           | query C1
        resolve o1 open                | refused: order o1: the venue said that C1 ended; its trades are missing
        resolve o1 fill trade_id=m1 qty=0.3 px=100 | F 1 a 0.3/0.7 RESOLVED
        resolve o1 fill trade_id=m1 qty=0.1 px=100 | refused: trade m1 is known already
        resolve o1 not_placed          | refused: order o1: C1 has trades, so it was placed
        resolve o1 canceled            | 4 4 a 0.3/0 VENUE_CANCEL
    """,
    "resolve open": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 open                | 0 0 a 0/1
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        ambiguous C1 cancel            | I 6 b<a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 open                | cancel C1
        done C1 canceled 0             | 4 4 b<a 0/0
        resolve o1 sunk                | refused: outcome 'sunk': expected one of not_placed, canceled, open, fill, bust, correct
        resolve o9x open               | refused: order 'o9x' is unknown
        resolve o1 open evidence=      | refused: evidence: expected what shows this outcome
        resolve o1 canceled            | refused: order o1: nothing of it works or is unknown at a venue
    """,
    "resolve what nobody knows": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        resolve o1 not_placed          | refused: order o1: nothing of it is unknown; C1 is on its way
                                       | without an answer it becomes unknown
        ambiguous C1 place             | I A a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 canceled            | 4 4 a 0/0 RESOLVED
    """,
    "resolve what works": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        resolve o1 canceled            | refused: order o1: nothing of it is unknown
                                       | C1 works at sim; to end it use `fixgw cancel`
        resolve o1 not_placed          | refused: order o1: nothing of it is unknown
                                       | C1 works at sim; to end it use `fixgw cancel`
        resolve o1 open                | refused: order o1: nothing of it is unknown
                                       | C1 works at sim; to end it use `fixgw cancel`
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        resolve o1 canceled            | refused: order o1: nothing of it is unknown
                                       | the cancel of C1 is on its way; without an answer it becomes unknown
        ambiguous C1 cancel            | I 6 b<a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 not_placed          | refused: order o1: the venue said that C1 was placed: expected canceled, open or fill
        resolve o1 canceled            | 4 4 b<a 0/0
    """,
    "resolve a cancel of ours without an answer": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        admin-cancel o1                | cancel C1
        ambiguous C1 cancel            | I 0 a 0/1 OUTCOME_UNKNOWN; query C1
        resolve o1 canceled            | 4 4 a 0/0 ADMIN_CANCEL
    """,
    "resolve what the venue called filled": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        done C1 filled 1               | query C1
        resolve o1 not_placed          | refused: order o1: the venue said that C1 was placed: expected canceled, open or fill
        resolve o1 canceled            | 4 4 a 0/0 RESOLVED
    """,
    "resolve fill of too much": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        resolve o1 fill trade_id=m1 qty=60 px=100 | refused: fill: --qty 60: expected at most 0.6, all that is left of C1
                                       | more than that by --as correct
        resolve o1 fill trade_id=m1 qty=0.6 px=100 | F 2 a 1.0/0 RESOLVED
        resolve o1 bust trade_id=t1    | H 1 a 0.6/0.4 RESOLVED; 4 4 a 0.6/0 BUSTED
        resolve o1 fill trade_id=m2 qty=0.41 px=100 | refused: fill: --qty 0.41: expected at most 0.4, all that is left of C1
                                       | more than that by --as correct
        resolve o1 fill trade_id=m2 qty=0.4 px=100 | F 2 a 1.0/0 RESOLVED; !FILL_AFTER_END
    """,
    "correct of too much": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        resolve o1 correct trade_id=t1 qty=0.5 | G 1 a 0.5/0.5 RESOLVED
        resolve o1 correct trade_id=t1 qty=40 | G 2 a 40.0/0 RESOLVED; cancel C1; !OVERFILL
        done C1 canceled 0.4           | -
        resolve o1 correct trade_id=t1 qty=1 | G 2 a 1.0/0 RESOLVED
    """,
    "figures that no trade has": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        resolve o1 fill trade_id=m1 qty=0.5 px=1E+25 | refused: fill: expected --trade-id, --qty above 0 and --px above 0
                                       | at most 40 digits, from 1E-24 to below 1E+25
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        resolve o1 correct trade_id=t1 qty=0 px=99 | refused: correct: expected --qty, --px or both, above 0
                                       | at most 40 digits, from 1E-24 to below 1E+25
        resolve o1 correct trade_id=t1 qty=0.5 px=0 | refused: correct: expected --qty, --px or both, above 0
                                       | at most 40 digits, from 1E-24 to below 1E+25
        resolve o1 correct trade_id=t1 px=1E+25 | refused: correct: expected --qty, --px or both, above 0
                                       | at most 40 digits, from 1E-24 to below 1E+25
        resolve o1 correct trade_id=t1 | refused: correct: expected --qty, --px or both, above 0
                                       | at most 40 digits, from 1E-24 to below 1E+25
    """,
    "resolve fill": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        resolve o1 fill trade_id=m1 qty=1 px=100 | F 2 a 1/0 RESOLVED
        resolve o1 fill trade_id=m2 qty=-1 px=100 | refused: fill: expected --trade-id, --qty above 0 and --px above 0
                                       | at most 40 digits, from 1E-24 to below 1E+25
        new s sell 1 ord_type=3 stop_px=95 | A A s 0/1; 0 0 s 0/1
        resolve o2 fill trade_id=m2 qty=1 px=100 | refused: order o2 was never sent to a venue
    """,
    "bust": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        trade C1 t2 0.6@90             | F 2 a 1.0/0
        resolve o1 bust trade_id=t2    | H 1 a 0.4/0.6 RESOLVED; 4 4 a 0.4/0 BUSTED
        resolve o1 bust trade_id=t2    | refused: trade t2 is busted already
        resolve o1 bust trade_id=zz    | refused: trade 'zz' is no trade of order o1
        resolve o1 correct trade_id=t1 qty=0.5 px=99 | G 4 a 0.5/0 RESOLVED
        resolve o1 bust trade_id=t1    | H 4 a 0.0/0 RESOLVED
    """,
    "bust while working": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        resolve o1 bust trade_id=t1    | H 0 a 0.0/1.0 RESOLVED
        trade C1 t2 0.6                | F 1 a 0.6/0.4; 4 4 a 0.6/0 BUSTED
    """,
    "bust of all": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 1                  | F 2 a 1/0
        resolve o1 correct trade_id=t1 px=98 | G 2 a 1/0 RESOLVED
        resolve o1 bust trade_id=t1    | H 0 a 0/1 RESOLVED; 4 4 a 0/0 BUSTED
    """,
    "correct down": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 1                  | F 2 a 1/0
        resolve o1 correct trade_id=t1 qty=0.6 | G 1 a 0.6/0.4 RESOLVED; 4 4 a 0.6/0 CORRECTED
        resolve o1 correct trade_id=t1 qty=1 | G 2 a 1.0/0 RESOLVED
        resolve o1 bust trade_id=t1    | H 0 a 0.0/1.0 RESOLVED; 4 4 a 0.0/0 BUSTED
    """,
    "what is left after a correction": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 1                  | F 2 a 1/0
        resolve o1 correct trade_id=t1 qty=0.6 | G 1 a 0.6/0.4 RESOLVED; 4 4 a 0.6/0 CORRECTED
        resolve o1 fill trade_id=m1 qty=0.41 px=0.5 | refused: fill: --qty 0.41: expected at most 0.4, all that is left of C1
                                       | more than that by --as correct
        resolve o1 fill trade_id=m1 qty=0.4 px=0.5 | F 2 a 1.0/0 RESOLVED; !FILL_AFTER_END
    """,
    "correct down while working": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        resolve o1 correct trade_id=t1 qty=0.3 | G 1 a 0.3/0.7 RESOLVED
        trade C1 t2 0.6                | F 1 a 0.9/0.1; 4 4 a 0.9/0 CORRECTED
    """,
    "correct up": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        cancel b a                     | cancel C1; 6 6 b<a 0.4/0.6
        resolve o1 correct trade_id=t1 qty=1 | G 6 a 1.0/0 RESOLVED
        done C1 canceled 0.4           | 9.1 2 b<a TOO_LATE
    """,
    "overfill": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t1 0.4                | F 1 a 0.4/0.6
        trade C1 t2 0.9                | F 2 a 1.3/0; !OVERFILL
    """,
    "manual fill ends a working order": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        trade C1 t0 0.5                | F 1 a 0.5/0.5
        replace b a 2 @100             | cancel C1; E E b<a 0.5/0.5
        done C1 canceled 0.5           | place C2 1.5@100 GTC
        trade C1 t9 0.5                | F E a 1.0/0; cancel C2
        ack C2                         | -
        done C2 canceled 0             | 9.2 2 b<a TOO_LATE
    """,
    "reject after ack": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        reject C1                      | !REJECT_AFTER_ACK; query C1
        +1s                            | query C1
        answer C1 rejected             | 8 8 a 0/0 VENUE_REJECT
    """,
    "admin cancel": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        ack C1                         | 0 0 a 0/1
        admin-cancel o1                | cancel C1
        admin-cancel o1                | refused: order o1 is being canceled already (ADMIN_CANCEL)
        done C1 canceled 0             | 4 4 a 0/0 ADMIN_CANCEL
        admin-cancel o1                | refused: order o1 is finished (OrdStatus 4)
        admin-cancel zzz               | refused: order 'zzz' is unknown
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)


@pytest.mark.parametrize("ours", [False, True])
def test_cancels_without_effect(ours: bool) -> None:
    """The venue takes each cancel and says afterwards that the order works. A client's request ends with a refusal, so that he
    knows that his order lives, and his next one goes out; what operations want is asked for without end."""
    script = play("new a buy 1 @100 | A A a 0/1; place C1 1@100 GTC\nack C1 | 0 0 a 0/1")
    script.line("admin-cancel o1" if ours else "cancel b a")
    came = []
    for _ in range(12):
        came += [*script.line("+1s"), *script.line("answer C1 open cum=0")]
    if ours:
        assert came == ["cancel C1"] * 12
        return
    assert came == ["cancel C1"] * 7 + ["9.1 0 b<a CANCEL_FAILED"]
    assert script.line("cancel c a") == ["cancel C1", "6 6 c<a 0/1"]
    assert script.line("done C1 canceled 0") == ["4 4 c<a 0/0"]


def test_an_order_that_is_filled_again_has_no_reason_and_tells_of_its_latest_change() -> None:
    script = Script(World(core_settings(risk_stages=())))
    for line in ("new a buy 1 @100", "ack C1", "trade C1 t1 1", "new b buy 1 @100", "ack C2", "trade C2 t2 1"):
        script.line(line)
    state = script.world.state
    first, second = state.finished
    seen = []
    for qty in ("0.6", "0.5", "1"):
        script.line("+1s")
        script.line(f"resolve o1 correct trade_id=t1 qty={qty}")
        row = order_row(state, state.orders[first])
        seen.append((row["ord_status"], row["reason"], row["updated_ns"] == script.world.now_ns))
        assert list(state.finished) == [second, first], "in the order of their latest changes"
    assert seen == [("4", "CORRECTED", True), ("4", "CORRECTED", True), ("2", "", True)]
    script.world.check()


def test_a_lost_order_is_asked_about_once_a_second_at_most() -> None:
    """However often the timers run, and whether anybody answers or not: each question costs rate limit."""
    script = play("new a buy 1 @100 | A A a 0/1; place C1 1@100 GTC\nambiguous C1 place | I A a 0/1 OUTCOME_UNKNOWN; query C1")
    quarters = [number for number in range(1, 121) if "query C1" in script.line("+0.25s")]
    assert len(quarters) > 5 and all(late - early >= 4 for early, late in pairwise([0, *quarters]))


def test_many_lost_orders_are_asked_about_no_more_often_than_settles_them() -> None:
    """Each question costs rate limit: a hundred at once, all when the answer counts, and all a second time."""
    lost = EARLY_MAX + 10
    script = Script(World(core_settings(risk_stages=())))
    for number in range(lost):
        script.line(f"new a{number} buy 1 @100")
    asked = {f"query C{number + 1}" for number in range(lost)}
    told = script.line("link down")
    assert asked <= set(told), "no host is there to hear these"
    script.line("link up")
    early = [word for word in script.line("reconciled") if word.startswith("query")]
    assert len(early) == EARLY_MAX
    for _ in range(7):
        assert not script.line("+1s")
    counts = [word for word in script.line("+1s") if word.startswith("query")]
    assert set(counts) == asked and len(counts) == lost
    for number in range(lost):
        assert not script.line(f"answer C{number + 1} not_found")
    again = [word for word in script.line("+1s") if word.startswith("query")]
    assert set(again) == asked and len(again) == lost
    for number in range(lost):
        assert script.line(f"answer C{number + 1} not_found") == [f"8 8 a{number} 0/0 NOT_PLACED"]
    script.world.check()
