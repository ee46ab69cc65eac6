"""Deterministic simulation (`fixgw simulate`): the real core on a virtual clock, everything around it a model that breaks.

    scheduler  virtual time, seeded dice, the story so far          channel   an ordered pipe that loses what is on it
    disk       the journal's bytes: written, synced, torn           gateway   inbox -> decide -> commit -> effects; crashes
    session    FIX numbers, store and delivery of one session       client    the OMS or drop copy at the other end
    host       the venue host: requests, time-outs, user events     exchange  it alone knows what is true
    edge       quotes, stops that trigger                           trader    what a client does, mistakes included
    havoc      faults that come by themselves, operations           checks    what must hold at every step
    agreement  who must agree at the end                            world     one seed from start to agreement
    plants     known bugs, to prove that the checks can fail        shrink    the shortest story that still fails
    campaign   many seeds on all processors                         tell      a story in readable lines

Real: decide, evolve, codec, state hash, timers, the journal's record format and its judgement of torn ends. Modelled by
their rules: engine loop, delivery, links, QuickFIX, host, exchange. No threads, no clock, no I/O: a seed is the whole story.
"""
