"""What a campaign has covered, over what can be covered.

Rules
1. A *switch* (0-switch, all-transitions) is a lifecycle state, a command and its verdict: (protection, active side,
   failover, job, direction) × operation or event × accepted, rejected or taken; a refusal for which there is but one reason
   counts with its code. While a job runs that is what refuses: such a refusal counts for the job, whatever else the state
   is. Coverage counts those in which the oracle was sure of the lifecycle state.
2. The denominator is explored, not guessed: all switches of the model that can be reached within a stated scope (one
   write on a branch, one fault at a time, no cached writes). What is feasible only beyond the scope and is covered all
   the same is added to both, and how much that is, is told beside: so the denominator may grow from run to run.
3. What a driver cannot be asked (operations and faults that it does not have) is not feasible with it; `how` names it.
4. All-actions: actions of the model that were taken in some explanation of a run, over those that are reachable in the
   scope. Requirement coverage: the requirements of the flow's own family, and general ones, that those actions stand for.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from siteproof.conformance.case import FAULTS, OPERATIONS, POINTED
from siteproof.conformance.closure import Abstract, Promised
from siteproof.conformance.results import Coverage
from siteproof.model.promise.vocabulary import Job
from siteproof.model.readings.python import State

__all__ = ["Feasible", "Ledger", "Switch", "explore", "family", "normal", "refused", "sure", "switch"]

Switch = tuple[Abstract, str, str]
"""Lifecycle state, command, verdict."""

SCOPE = "one write on a branch, one fault at a time"
BEYOND = frozenset({"write_cached", "write_cached_former_source", "flush", "flush_former_source", "flush_before_stop"})
SILENT = frozenset({"flush", "flush_former_source", "flush_before_stop", "accept_former_source", "prune_point"})


POINTED_JOBS = frozenset(code for code, job in enumerate(Job) if job.value in POINTED)
"""Jobs to which it matters which point was chosen."""


def switch(promised: Promised, here: Abstract, command: str, verdict: str) -> Switch:
    """What is counted when `command` meets `verdict` in the lifecycle state `here`."""
    job = here[promised.lifecycle_at.index(promised.at.job)]
    return ((job,) if job and verdict.startswith("rejected") else here, command, verdict)


@attrs.frozen
class Feasible:
    """What can be reached within the scope."""

    switches: frozenset[Switch]
    actions: frozenset[str]
    states: int


def normal(promised: Promised, s: State) -> State:
    """Epochs only matter by their order, a chosen point to the jobs that name one; what was reported does not matter to what can
    happen."""
    at = promised.at
    row = list(s)
    row[at.epoch], row[at.passive_epoch] = 1, 1 if s[at.epoch] == s[at.passive_epoch] else 0
    row[at.received] = row[at.loss] = 0
    row[at.received_known] = row[at.loss_known] = row[at.alerted] = False
    low = min(
        s[at.head],
        s[at.passive],
        s[at.latest] if s[at.points] else s[at.head],
        s[at.fork] if s[at.epoch] != s[at.passive_epoch] else s[at.head],
    )
    for i in (at.head, at.passive, at.latest, at.fork, at.point_at, at.staged, at.app_at):
        row[i] = max(0, int(row[i]) - int(low))
    row[at.test_at] = 0
    if s[at.job] not in POINTED_JOBS and not s[at.test]:
        row[at.point], row[at.point_at], row[at.chosen] = False, 0, 0
    return tuple(row)


ALL = frozenset(OPERATIONS), frozenset(FAULTS)


@functools.lru_cache(maxsize=16)
def explore(promised: Promised, operations: frozenset[str] = ALL[0], faults: frozenset[str] = ALL[1]) -> Feasible:
    """All switches and actions that can be reached in the scope, with the operations and faults that a driver has."""
    at, switches, actions = promised.at, set[Switch](), set[str]()
    met = set[tuple[Abstract, str, tuple[int, ...] | None]]()  # with the preconditions that failed; None when it was accepted
    start = normal(promised, promised.initial)
    known, todo = {start}, [start]
    ups = (at.primary_up, at.recovery_up, at.link_up, at.gateway_up)
    lacking = {f"fail_{f.replace('-', '_')}" for f in ALL[1] - faults}
    lacking |= set() if "change-log" in faults else {"damage_change_log"}
    environment = [a for a in promised.environment.values() if a.name not in BEYOND | lacking]
    commands = {name: action for name, action in promised.commands.items() if name in operations}
    requests = [(name, action, arguments, arguments[:1] == (promised.points_coded["custom"],))
                for name, action in commands.items() for arguments in action.action.instances()]  # fmt: skip
    for state in todo:
        here, steps = promised.lifecycle(state), promised.steps(state)
        after_all = [after for _, _, after in steps]
        actions |= {promised.internal_names[n] for n, _, _ in steps}
        named = promised.with_point(state, True, int(state[at.latest])) if state[at.points] else state
        for operation, action, arguments, names_a_point in requests:
            asked = named if names_a_point else state
            after = action.step(asked, *arguments)
            met.add((here, operation, action.failing(asked, *arguments) if after is None else None))
            if after is not None:
                actions.add(action.name)
                after_all.append(after)
        for action in environment:
            after = action.step(state)
            struck = action.name.startswith("fail_") or action.name == "damage_change_log"
            if after is None or (struck and not all(state[i] for i in ups)):
                continue
            if (after[at.head] > 1 and action.name == "write") or (after[at.passive] > 1 and action.name.startswith("write")):
                continue
            switches.add((here, action.name, "taken"))
            actions.add(action.name)
            after_all.append(after)
        for one in after_all:
            reached = normal(promised, one)
            if reached not in known:
                known.add(reached)
                todo.append(reached)
    for here, operation, failing in met:
        guards = commands[operation].action.guards
        verdict = "accepted" if failing is None else refused([guards[i].code for i in failing])
        switches.add(switch(promised, here, operation, verdict))
    return Feasible(frozenset(switches), frozenset(actions), len(known))


@attrs.define
class Ledger:
    """Counts of one campaign. `met` has its switches, and those that others have met before it: engines look for what is in
    neither."""

    promised: Promised
    switches: set[Switch] = attrs.field(factory=set)
    taken: Counter[str] = attrs.field(factory=Counter)
    lifecycles: Counter[Abstract] = attrs.field(factory=Counter)
    met: set[Switch] = attrs.field(factory=set)

    def meet(self, here: Abstract | None, command: str, verdict: str) -> None:
        """A command was carried out in a state whose lifecycle the oracle was sure of (else None)."""
        if here is not None:
            one = switch(self.promised, here, command, verdict)
            self.switches.add(one)
            self.met.add(one)
            self.lifecycles[here] += 1

    def coverage(self, operations: Iterable[str] = ALL[0], faults: Iterable[str] = ALL[1]) -> tuple[Coverage, ...]:
        """All measures, for a driver that has these operations and faults."""
        feasible = explore(self.promised, frozenset(operations), frozenset(faults))
        how = f"explored: {feasible.states:,} states of the model, {SCOPE}"
        if lacking := sorted((ALL[0] & set(self.promised.commands)) - set(operations)) + sorted(ALL[1] - set(faults)):
            how += f", without what the driver cannot do: {', '.join(lacking)}"
        told = self.promised.told_lifecycle
        missing = sorted(f"{c} {v} in: {told(s)}" for s, c, v in feasible.switches - self.switches)
        acts = {n for n, k in self.taken.items() if k}
        possible = set(feasible.actions) | acts
        own = family(self.promised.name)
        requirements = {a.name: {r for r in a.requirements if r.startswith(own)} for a in self.promised.model.actions}
        carried = "those of the flow's own requirements that reachable actions carry, whatever the driver can do"
        # What a driver cannot do is no less required of its flow.
        whole = explore(self.promised, frozenset(ALL[0]), frozenset(ALL[1])).actions | acts
        due = set().union(*(requirements[a] for a in whole)) if whole else set[str]()
        met = set().union(*(requirements[a] for a in acts)) if acts else set[str]()
        beyond = len(possible) - len(feasible.actions), len(self.switches - feasible.switches)
        here, there = (how + (f"; and {n} met beyond that" if n else "") for n in beyond)
        met_all = len(feasible.switches | self.switches)
        return (
            Coverage("all-actions", len(acts), len(possible), here, tuple(sorted(possible - acts))[:20]),
            Coverage("all-transitions (0-switch)", len(self.switches), met_all, there, tuple(missing[:20])),
            Coverage("requirement", len(met), len(due), carried, tuple(sorted(due - met))[:20]),
        )


def refused(codes: Sequence[str]) -> str:
    """The verdict of a refusal for any of `codes`."""
    return f"rejected ({codes[0]})" if len(codes) == 1 else "rejected"


def family(topology: str) -> tuple[str, ...]:
    """How the ids of the requirements begin that are about a flow; all of them for a flow of the user's own."""
    known = {
        "vmware-to-azure": "V2A-",
        "physical-to-azure": "P2A- V2A-",
        "hyper-v-vmm-to-azure": "H2A-",
        "hyper-v-site-to-azure": "H2A-",
        "scout-to-secondary-site": "S-V2S-",
        "hyper-v-to-secondary-site": "H2S-",
    }.get(topology, "V2A- P2A- H2A- S-V2S- H2S-")
    return (*known.split(), "GEN-")


def sure(promised: Promised, states: Iterable[State]) -> Abstract | None:
    """The lifecycle state that all of `states` share, or None."""
    found = {promised.lifecycle(s) for s in states}
    return found.pop() if len(found) == 1 else None
