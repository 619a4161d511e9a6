"""Requests, retries and lost answers: a request is carried out once at most, and answered alike every time (P16).

Rules
1. A request carries an id of its own. The network may lose it or its answer, delay either, and deliver the request again. Who has
   no answer asks again, with the same id; the answer that is lost is *unknown* to the operator, not to the service.
2. The service writes down its answer, by id, before it gives it, in the same durable step in which the job begins. A crash
   of the service loses what is under way and nothing that was written down.
3. One arbitrary request is followed; other jobs come and go on the same machine, one at a time.

Sources: domain 3.3 (long-running operations), DESIGN P16.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from siteproof.model.catalogue import promise
from siteproof.model.claims import Claim, always, step
from siteproof.model.engines.scope import Scope
from siteproof.model.level import Level
from siteproof.model.system import (
    ActionRule,
    Facts,
    Model,
    Step,
    Vocabulary,
    build_model,
    choice,
    environment,
    flag,
    internal,
    nat,
    remembered,
)
from siteproof.model.terms import And, Bool, If, Implies, Not, Or

__all__ = ["LEVEL", "Answer", "Service"]


class Answer(enum.Enum):
    NONE = "none"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Service(Vocabulary):
    """One request on its way between an operator and the service, for one machine."""

    asked = flag(False, "the operator has sent the request", place="operator")
    underway = flag(False, "a copy of the request is under way", place="network")
    answering = choice(Answer.NONE, "an answer is under way", place="network")
    told = choice(Answer.NONE, "the answer that the operator has received first", place="operator")
    record = choice(Answer.NONE, "the answer that the service has written down", place="service")
    runs = nat(0, "how often the request has started a job", place="service")
    at_work = flag(False, "the request's job is at work", place="service")
    busy = flag(False, "another job runs on the machine", place="service")


@environment()
def ask(_t: Facts, m: Service) -> Step:
    """The operator sends the request."""
    return Step(requires=[Not(m.asked)], changes=[m.asked.becomes(True), m.underway.becomes(True)])


@environment()
def ask_again(_t: Facts, m: Service) -> Step:
    """The operator, who has no answer, sends the request again."""
    return Step(requires=[m.asked, m.told == Answer.NONE], changes=[m.underway.becomes(True)])


@environment()
def lose_request(_t: Facts, m: Service) -> Step:
    """The network loses the request."""
    return Step(requires=[m.underway], changes=[m.underway.becomes(False)])


@internal(("GEN-15",), {"again": bool})
def decide(_t: Facts, m: Service, again: Bool) -> Step:
    """The service gets the request: it begins the job, refuses, or repeats the answer that it has written down. The network may
    deliver the request `again`."""
    new = m.record == Answer.NONE
    free = Not(Or(m.busy, m.at_work))
    begins = And(new, free)
    answer = If(new, If(free, Answer.ACCEPTED, Answer.REJECTED), m.record)
    return Step(
        requires=[m.underway],
        changes=[
            m.underway.becomes(again), m.record.becomes(answer), m.answering.becomes(answer),
            m.runs.becomes(If(begins, m.runs + 1, m.runs)), m.at_work.becomes(Or(m.at_work, begins)),
        ],
    )


@environment()
def lose_answer(_t: Facts, m: Service) -> Step:
    """The network loses the answer."""
    return Step(requires=[m.answering != Answer.NONE], changes=[m.answering.becomes(Answer.NONE)])


@internal(())
def hear(_t: Facts, m: Service) -> Step:
    """The operator gets an answer."""
    return Step(
        requires=[m.answering != Answer.NONE],
        changes=[m.told.becomes(If(m.told == Answer.NONE, m.answering, m.told)), m.answering.becomes(Answer.NONE)],
    )


@internal(())
def end_job(_t: Facts, m: Service) -> Step:
    """The request's job ends."""
    return Step(requires=[m.at_work], changes=[m.at_work.becomes(False)])


@environment()
def other_job(_t: Facts, m: Service) -> Step:
    """Another request begins a job on the machine."""
    return Step(requires=[Not(m.busy), Not(m.at_work)], changes=[m.busy.becomes(True)])


@internal(())
def other_ends(_t: Facts, m: Service) -> Step:
    """The other job ends."""
    return Step(requires=[m.busy], changes=[m.busy.becomes(False)])


@environment()
def crash(t: Facts, m: Service) -> Step:
    """The service crashes and comes back; what was under way is gone."""
    forgets = Not(t["requests.remembered"])
    return Step(
        requires=[],
        changes=[
            m.underway.becomes(False), m.answering.becomes(Answer.NONE),
            m.record.becomes(If(forgets, Answer.NONE, m.record)),
        ],
    )


RULES: tuple[ActionRule, ...] = (
    ask, ask_again, lose_request, decide, lose_answer, hear, end_job, other_job, other_ends, crash,
)

P16 = promise("P16", (
    always("a request is carried out once at most", lambda m: m.runs <= 1),
    always("an accepted request has begun its job", lambda m: m.runs == 1, given=lambda m: m.told == Answer.ACCEPTED),
    always("a rejected request has begun none", lambda m: m.runs == 0, given=lambda m: m.told == Answer.REJECTED),
    step("every answer to a request is the same", lambda a, _b: a.answering == a.told,
         given=lambda a, _b: a.told != Answer.NONE, on=("hear",)),
    always("one job runs on a machine at a time", lambda m: Not(And(m.at_work, m.busy))),
    step("a crash forgets no answer", lambda a, b: a.record == b.record, on=("crash",)),
))

LEMMAS: tuple[Claim, ...] = (
    always("written_down_first", lambda m: And(
        Implies(m.answering != Answer.NONE, m.answering == m.record), Implies(m.told != Answer.NONE, m.told == m.record))),
    always("runs_are_written_down", lambda m: And(
        Implies(m.runs > 0, m.record == Answer.ACCEPTED), Implies(m.record == Answer.ACCEPTED, m.runs == 1),
        Implies(m.at_work, m.runs > 0))),
)


@remembered
def model(name: str, facts: Mapping[str, bool]) -> Model:
    """One request for one machine of a flow."""
    return build_model(name, "requests", Service, RULES, facts)


LEVEL = Level(
    "requests", "retries and lost answers", "one machine, any number of requests, retries and crashes", model, (P16,), LEMMAS,
    Scope.only(runs=3), (Scope.only(runs=2),))
