"""The promise level as the oracle reads it: compiled, without marks, with all internal steps in one function.

Rules
1. A state is a tuple of codes (`siteproof.model.readings.python`). The internal steps that are possible in it are computed by
   one generated function for each running job, from the very terms that the proofs use, and remembered: campaigns meet the same
   states again and again.
2. The model keeps one arbitrary older point beside the newest. The oracle does not let internal steps choose it (`keep` is
   always false), nor remove points one by one: which points there are, it sees. When a request names a point, that point
   becomes the kept one.
3. Steps are told apart by what they do to the list of points, since that list is observed: `PLAIN` nothing, `CUT` a new point,
   `RENEWED` all old points go and a new one comes, `REMOVED` all go.
4. What is remembered is bounded by the number of states, each of which takes about two kilobytes; beyond it those go that were
   not met for longest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import attrs

from siteproof.model.nodes import Part, read
from siteproof.model.promise import promise_model
from siteproof.model.promise.vocabulary import Direction, Failover, Job, Point, Protection, Resync, Site, Test
from siteproof.model.readings.python import CompiledAction, CompiledModel, State, compile_model, specialised
from siteproof.model.system import Kind, constants_of

__all__ = ["CUT", "PLAIN", "REMOVED", "RENEWED", "Abstract", "Index", "Promised", "Shown", "promised_of"]

PLAIN, CUT, RENEWED, REMOVED = range(4)

Abstract = tuple[int | bool, ...]
"""The lifecycle state: protection, active, failover, job, direction, test, resync."""

Shown = tuple[str, str, str, str, "str | None", "int | None", "int | None", bool, bool, bool, str, str, bool]
"""What a customer can see of a state: protection, active, direction, failover, job, received, loss, alerted, running at
primary, running at recovery, test failover, resynchronisation, whether points are advertised."""

_REMEMBERED = 25_000
"""States in each of two generations: those that were met of late, and before."""


@attrs.frozen
class Index:
    """Where the oracle's variables stand in a state."""

    protection: int
    active: int
    direction: int
    failover: int
    job: int
    chosen: int
    test: int
    resync: int
    running: int
    passive_running: int
    head: int
    cached: int
    passive: int
    passive_cached: int
    points: int
    latest: int
    point: int
    point_at: int
    pinned: int
    spoiled: int
    app: int
    app_at: int
    test_at: int
    staged: int
    received: int
    received_known: int
    loss: int
    loss_known: int
    alerted: int
    fork: int
    epoch: int
    passive_epoch: int
    primary_up: int
    recovery_up: int
    link_up: int
    gateway_up: int

    @classmethod
    def of(cls, compiled: CompiledModel) -> Index:
        return cls(**{field.name: compiled.position[field.name] for field in attrs.fields(cls)})


@attrs.frozen
class _Read:
    """An internal action, read for its source: its number, arguments that are given, preconditions, and changes."""

    number: int
    given: dict[str, int | bool]
    guards: tuple[Part, ...]
    changes: dict[str, Part]


class Promised:
    """The promise level of one flow, ready for the oracle, for engines and for coverage. Holds nothing about a run."""

    def __init__(self, name: str, facts: Mapping[str, bool]) -> None:
        self.name = name
        self.model = promise_model(name, facts).without_marks()
        self.compiled = compile_model(self.model)
        self.initial: State = self.compiled.initial
        self.at = Index.of(self.compiled)
        self.commands: dict[str, CompiledAction] = {a.action.operation: a for a in self.compiled.of_kind(Kind.COMMAND)}
        self.environment = {a.name: a for a in self.compiled.of_kind(Kind.ENVIRONMENT)}
        internal = [a for a in self.compiled.of_kind(Kind.INTERNAL) if a.name not in ("prune_point", "prune_app_point")]
        self.internal_names = tuple(a.name for a in internal)
        self.copying = self.internal_names.index("copy_base")
        """The internal step with which the passive side's own content is given up."""
        self.cutting_app = self.internal_names.index("cut_app_point")
        self.making_copy = self.internal_names.index("make_test_copy")
        self.setting_to_point = self.internal_names.index("set_to_point")
        self._prune = self.compiled.actions["prune_point"].step
        self._kinds = tuple(self._kind_of(a) for a in internal)
        self._internal = self._one_function(internal, fair=False)
        self._fair = self._one_function([a for a in internal if a.action.fair], fair=True)
        self._flush_active = self.compiled.actions["flush"].step
        self._flush_former = self.compiled.actions["flush_former_source"].step
        self._steps: dict[State, tuple[tuple[int, int, State], ...]] = {}
        self._older: dict[State, tuple[tuple[int, int, State], ...]] = {}
        self.appearances: dict[Any, Any] = {}
        self.remembered = 0
        """What closures come to, and how many of them (`siteproof.conformance.appearance`)."""
        self._allowed: dict[Any, tuple[str, ...]] = {}
        self._allowed_by = self._lifecycle_of_commands()
        self._sites = tuple(s.value for s in Site)
        self._protections = tuple(p.value for p in Protection)
        self._failovers = tuple(f.value for f in Failover)
        self._directions = tuple(d.value for d in Direction)
        self._jobs: tuple[str | None, ...] = tuple(None if j is Job.NONE else j.value for j in Job)
        self._tests = tuple(t.value for t in Test)
        self._resyncs = tuple(r.value for r in Resync)
        at = self.at
        self.lifecycle_at = (at.protection, at.active, at.failover, at.job, at.direction, at.test, at.resync)
        self._lifecycle = itemgetter(*self.lifecycle_at)
        self._reads: dict[str, Callable[[State], Any]] = {}
        self._refusals: dict[Any, tuple[str, ...]] = {}
        self.points_coded = {point.value: code for code, point in enumerate(Point)}
        self.coded: dict[int, dict[str, int]] = {
            i: {str(variable.domain.decode(code).value): code for code in variable.domain.values or ()}
            for i, variable in enumerate(self.model.variables)
            if variable.domain.of not in (bool, int)
        }
        """The code of each word, by the position of the variable that can have it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """It is sent by what it was made from, and made anew where it arrives, once."""
        return promised_of, (self.name, tuple(sorted(self.model.facts.values.items())))

    def _kind_of(self, action: CompiledAction) -> int:
        changes = action.action.changes
        if action.action.cuts_point:
            return RENEWED if "job" in changes else CUT
        return REMOVED if "points" in changes else PLAIN

    def _one_function(self, actions: list[CompiledAction], *, fair: bool) -> Callable[[State], Any]:
        """All `actions` in one function for each running job, made when the job is first met: most actions belong to one job.
        `fair`: only whether any of them is possible."""
        read_once = [
            _Read(
                number,
                {f"arg:{p.name}": False for p in one.action.parameters},
                (*(read(g.folded) for g in one.action.guards), *((read(one.action.fair_when),) if fair else ())),
                {} if fair else {name: read(node) for name, node in one.action.changes.items()},
            )
            for number, one in enumerate(actions)
        ]
        made: dict[int | bool, Callable[[State], Any]] = {}
        at = self.at.job

        def steps(state: State) -> Any:
            job = state[at]
            known = made.get(job)
            if known is None:
                known = made[job] = self._of_job(read_once, job, fair=fair)
            return known(state)

        return steps

    def _of_job(self, actions: list[_Read], job: int | bool, *, fair: bool) -> Callable[[State], Any]:
        fields = {name: f"v{i}" for i, name in enumerate(self.model.names)}
        lines = ["def steps(s):", "    " + ", ".join(fields.values()) + ", = s"]
        if not fair:
            lines.append("    r = []")
        for action in actions:
            given = {"job": job, **action.given}
            guards = [specialised(guard, fields, given) for guard in action.guards]
            if any(guard is False for guard in guards):
                continue
            guard = " and ".join(g for g in guards if isinstance(g, str)) or "True"
            if fair:
                lines.append(f"    if {guard}:\n        return True")
                continue
            after = ", ".join(
                str(specialised(action.changes[n], fields, given)) if n in action.changes else fields[n] for n in self.model.names
            )
            lines.append(f"    if {guard}:\n        r.append(({action.number}, {self._kinds[action.number]}, ({after},)))")
        lines.append("    return False" if fair else "    return tuple(r)")
        scope: dict[str, Any] = {}
        exec(compile("\n".join(lines), f"<internal steps of {self.name}>", "exec"), scope)
        return scope["steps"]  # type: ignore[no-any-return]

    def _picker(self, names: set[str]) -> Callable[[State], Any]:
        """What a state says of some variables, as one value."""
        positions = [i for i, name in enumerate(self.model.names) if name in names]
        return itemgetter(*positions) if positions else lambda _: ()

    def _lifecycle_of_commands(self) -> Callable[[State], Any]:
        names: set[str] = set()
        for compiled in self.commands.values():
            for guard in compiled.action.guards:
                if not guard.precheck:
                    names |= constants_of(guard.folded)
        return self._picker(names)

    def steps(self, state: State) -> tuple[tuple[int, int, State], ...]:
        """The internal steps that are possible: (index into `internal_names`, what it does to points, next state)."""
        known = self._steps.get(state)
        if known is None:
            if len(self._steps) >= _REMEMBERED:
                self._older, self._steps = self._steps, {}
            known = self._older.pop(state, None)
            if known is None:
                # A commit that has no point to remove, and steps that change nothing, stay what they are: plain.
                known = tuple(one for one in self._internal(state) if one[2] != state or one[1] == CUT)
            self._steps[state] = known
        return known

    def restless(self, state: State) -> bool:
        """Whether a fair internal step is possible: the system may not stand still here."""
        return bool(self._fair(state))

    def shown(self, s: State) -> Shown:
        """What a customer can see of `s`, in the words of the interface."""
        at = self.at
        here = bool(s[at.running]), bool(s[at.passive_running])
        primary, recovery = here if s[at.active] == 0 else here[::-1]
        return (
            self._protections[s[at.protection]],
            self._sites[s[at.active]],
            self._directions[s[at.direction]],
            self._failovers[s[at.failover]],
            self._jobs[s[at.job]],
            s[at.received] if s[at.received_known] else None,
            s[at.loss] if s[at.loss_known] else None,
            bool(s[at.alerted]),
            primary,
            recovery,
            self._tests[s[at.test]],
            self._resyncs[s[at.resync]],
            bool(s[at.points]),
        )

    def allowed(self, state: State) -> tuple[str, ...]:
        """The operations that are advertised as allowed in `state`."""
        key = self._allowed_by(state)
        known = self._allowed.get(key)
        if known is None:
            known = self._allowed[key] = self.compiled.allowed_operations(state)
        return known

    def refusals(self, state: State, operation: str, point: str | None) -> tuple[str, ...]:
        """The codes that apply to a request in `state`, all of them. `point` as in a request, an id being the kept one."""
        action = self.commands[operation]
        return self.failing(action, state, (self.points_coded.get(point or "latest", self.points_coded["custom"]),))

    def failing(self, action: CompiledAction, state: State, arguments: tuple[int, ...]) -> tuple[str, ...]:
        """The codes of the preconditions that fail, in order. Remembered by what they read, which is little."""
        arguments = arguments if action.action.parameters else ()
        reads = self._reads.get(action.name)
        if reads is None:
            reads = self._reads[action.name] = self._picker(set().union(*(constants_of(g.folded) for g in action.action.guards)))
        key = action.name, arguments, reads(state)
        codes = self._refusals.get(key)
        if codes is None:
            if len(self._refusals) >= _REMEMBERED:
                self._refusals.clear()
            codes = self._refusals[key] = tuple(action.action.guards[i].code for i in action.failing(state, *arguments))
        return codes

    def lifecycle(self, s: State) -> Abstract:
        """The abstract state over which coverage counts."""
        found: Abstract = self._lifecycle(s)
        return found

    def told_lifecycle(self, abstract: Abstract) -> str:
        """An abstract state in words; the running job alone, where that is all that counts."""
        if len(abstract) == 1:
            return f"{self._jobs[int(abstract[0])]} running"
        protection, active, failover, job, direction, test, resync = (int(code) for code in abstract)
        told = f"{self._protections[protection]}, active at {self._sites[active]}, {self._directions[direction]}"
        told += f", failover {self._failovers[failover]}" if failover else ""
        told += f", {self._jobs[job]} running" if job else ""
        told += ", with a test failover" if test else ""
        return told + (f", resynchronisation {self._resyncs[resync]}" if resync else "")

    def flushed(self, s: State) -> State:
        """The active side's cache written out."""
        while (after := self._flush_active(s, *((False,) * 0))) is not None:
            s = after
        return s

    def flushed_former(self, s: State) -> State:
        """The former source's cache written out."""
        while (after := self._flush_former(s)) is not None:
            s = after
        return s

    def prunable(self, s: State) -> bool:
        """Whether retention is at work in `s`: whether it may remove some older point that nothing uses."""
        at, row = self.at, list(s)
        row[at.point], row[at.point_at], row[at.latest] = True, 0, max(1, int(s[at.latest]))
        row[at.pinned], row[at.chosen] = False, self.points_coded["latest"]
        return self._prune(tuple(row)) is not None

    def tracks(self, s: State) -> bool:
        """Whether the active side keeps a change log in `s`, so that it can be damaged."""
        return self.environment["damage_change_log"].step(s) is not None

    def with_app_point(self, s: State, position: int | None) -> State:
        """`s` with the newest app-consistent point at `position`, or with none."""
        row = list(s)
        row[self.at.app], row[self.at.app_at] = position is not None, position or 0
        return tuple(row)

    def with_point(self, s: State, advertised: bool, position: int) -> State:
        """`s` with the kept point being the one that a request names."""
        row = list(s)
        row[self.at.point], row[self.at.point_at] = advertised, position if advertised else 0
        return tuple(row)


@functools.lru_cache(maxsize=6)
def promised_of(name: str, facts: tuple[tuple[str, bool], ...]) -> Promised:
    """The promise level of a flow with these facts. It is the same one for all campaigns of the flow, since it remembers states
    and what can be reached; what it remembers changes no answer."""
    return Promised(name, dict(facts))
