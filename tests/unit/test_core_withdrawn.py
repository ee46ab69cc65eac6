"""The end of an order that its own cancel overtook in the venue host: it never left. How to read the tables: core_script.py."""

import pytest
from core_script import play

from fixgw.core.reports import CancelReject

STORIES = {
    "a cancel": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        reject C1 withdrawn            | 4 4 b<a 0/0
        reject C1 withdrawn            | -
        cancel-reject C1 unknown       | -
        status a                       | ?I 4 b 0/0
    """,
    "a cancel, and the order had become unknown": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        ambiguous C1 place             | I 6 a 0/1 OUTCOME_UNKNOWN; query C1
        reject C1 withdrawn            | 4 4 b<a 0/0
    """,
    "a replace": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        reject C1 withdrawn            | place C2 2@99 GTC
        ack C2                         | 5 0 b<a 0/2
        trade C2 t1 2                  | F 2 b 2/0
    """,
    "a replace whose order is refused": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        reject C1 withdrawn            | place C2 2@99 GTC
        reject C2                      | 8 8 a 0/0 VENUE_REJECT; 9.2 8 b<a TOO_LATE
    """,
    "a cancel over a replace": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        cancel c a                     | 9.2 A b<a SUPERSEDED; 6 6 c<a 0/1
        reject C1 withdrawn            | 4 4 c<a 0/0
    """,
    "a cancel over the replacing order": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @99              | cancel C1; E E b<a 0/1
        reject C1 withdrawn            | place C2 2@99 GTC
        cancel c a                     | 5 0 b<a 0/2; cancel C2; 6 6 c<b 0/2
        reject C2 withdrawn            | 4 4 c<b 0/0
    """,
    "a kill": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        kill HALTED firm               | firm HALTED; cancel C1
        reject C1 withdrawn            | 4 4 a 0/0 KILLED
    """,
    "it works after all": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        reject C1 withdrawn            | 4 4 b<a 0/0
        ack C1                         | orphan C1; !ORPHAN
    """,
    "the host is killed before it says so": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        cancel b a                     | cancel C1; 6 6 b<a 0/1
        link down                      | DOWN; I 6 a 0/1 OUTCOME_UNKNOWN; query C1
        +100s                          | I 6 b<a 0/1 OUTCOME_UNKNOWN; query C1
        link up                        | DOWN; RECONCILING; reconcile
        +2s                            | query C1
        answer C1 not_found            | -
        +1s                            | query C1
        answer C1 not_found            | 4 4 b<a 0/0 NOT_PLACED
    """,
    "nobody had asked for it": """
        new a buy 1 @100               | A A a 0/1; place C1 1@100 GTC
        reject C1 withdrawn            | 8 8 a 0/0 NOT_PLACED
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: str) -> None:
    play(story)


@pytest.mark.parametrize("not_placed", [False, True])
def test_a_replace_of_an_order_that_there_never_was_is_refused_behind_its_end_and_says_why(not_placed: bool) -> None:
    script = play("new a buy 1 @100 | A A a 0/1; place C1 1@100 GTC\nreplace b a 2 @99 | cancel C1; E E b<a 0/1")
    lines, code = ["reject C1"], "VENUE_REJECT"
    if not_placed:
        lines, code = ["ambiguous C1 place", "+100s", "answer C1 not_found", "+1s", "answer C1 not_found"], "NOT_PLACED"
    came = [script.line(line) for line in lines][-1]
    assert came == [f"8 8 a 0/0 {code}", "9.2 8 b<a TOO_LATE"]
    told = script.told[-1]
    assert isinstance(told, CancelReject) and told.text.startswith(f"the order is already finished: {code}: ")
    assert script.line("status a") == [f"?I 8 a 0/0 {code}"]
