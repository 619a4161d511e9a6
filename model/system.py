"""Variables, actions and models: the grammar in which a system is described.

Rules
1. A *variable* has a name, a domain (truth value, natural number, enumeration) and one initial value. It also says where
   it lives (`place`), whether it survives a crash of that place (`durable`), and whether it is `shared`: one and the same for
   all machines. A *mark* is a variable about the content of
   one arbitrary write; no guard and no other variable may depend on a mark (data independence, checked when a model is
   built), so what is proved of the marked write holds for every write.
2. An *action* is of one of three kinds. A **command** is an operator's request: accepted, or rejected with a reason code
   and no change. An **environment** action is the world's: a write, a fault, its healing. An **internal** action is the
   system's own progress, which a tester does not see; a *fair* one may not be put off for ever. Of the world's doings some
   *heal* a fault, and some an *operator* can bring about without asking the product, such as switching a machine on.
3. A command's preconditions are ordered; each carries a stable reason code and says whether it is about the *lifecycle*
   (then it decides what is advertised as an allowed operation) or is a *precheck* of arguments and infrastructure.
4. An action changes the variables it names, at once; all others stay. A next value is a term over the present state and the
   action's parameters, whose domains are finite.
5. A model speaks of one machine, and of what it shares with others. What is the same for all of them, the sites' power say,
   is *shared*; any other variable is the machine's own. Where something is shared, the system is any number of such
   machines side by side: an action is one machine's step and leaves the shared variables alone, or it is a *world* action:
   the environment's, asked of shared variables only, and taken by all machines at once (checked when a model is built;
   `siteproof.model.engines.interference` has the proof rule). A level about how machines work together is a *crowd*
   (`siteproof.model.crowd`): then `machines` names them, and an action says who takes it.
6. What differs between flows is a *fact*, a constant of the topology. Terms are written with facts as symbols, so that a
   reader of the English sees them; a model is then *folded*: each fact is replaced by its value.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache, cached_property, lru_cache, wraps
from typing import Any, Generic, TypeVar, cast, overload

import attrs
import z3

from siteproof.model.nodes import Substitution, constants_of
from siteproof.model.terms import And, Bool, Change, Choice, Nat, Term, member

__all__ = ["Action", "ActionRule", "Facts", "Kind", "Model", "Parameter", "Requires", "Step", "Variable", "Vocabulary",
           "build_model", "choice", "command", "constants_of", "environment", "flag", "internal", "nat", "remembered"]

T = TypeVar("T", bound=Term)
V = TypeVar("V", bound="Vocabulary")
E = TypeVar("E", bound=Enum)
B = TypeVar("B", bound="Callable[..., Model]")

FACT_PREFIX = "fact:"


class Kind(enum.Enum):
    """Who takes an action."""

    COMMAND = "command"
    ENVIRONMENT = "environment"
    INTERNAL = "internal"


@cache
def _constant(is_truth: bool, name: str) -> Any:
    """Asked for some hundred thousand times, of a few hundred names."""
    return z3.Bool(name) if is_truth else z3.Int(name)


@attrs.frozen
class Domain:
    """What a variable or parameter may hold: `bool`, `int` (a natural number) or an enumeration."""

    of: type

    @property
    def is_nat(self) -> bool:
        return self.of is int

    @property
    def values(self) -> range | tuple[bool, bool] | None:
        """Coded values of a finite domain; None for the natural numbers."""
        if self.of is bool:
            return (False, True)
        if self.of is int:
            return None
        return range(len(list(self.of)))  # type: ignore[call-overload]

    def constant(self, name: str) -> Any:
        """The z3 constant of this domain that has this name."""
        return _constant(self.of is bool, name)

    def term(self, name: str) -> Term:
        node = self.constant(name)
        if self.of is bool:
            return Bool(node)
        return Nat(node) if self.of is int else Choice(node, self.of)

    def typing(self, node: Any) -> Any:
        """The constraint that `node` lies in the domain."""
        if self.of is bool:
            return z3.BoolVal(True)
        if self.of is int:
            return node >= 0
        return z3.And(node >= 0, node < len(list(self.of)))  # type: ignore[call-overload]

    def code(self, value: Any) -> int | bool:
        return member(value) if isinstance(value, Enum) else value

    def decode(self, code: Any) -> Any:
        """The Python value of a code: a bool, an int or the enumeration's member."""
        if self.of is bool:
            return bool(code)
        return int(code) if self.of is int else list(self.of)[int(code)]  # type: ignore[call-overload]


@attrs.frozen
class Variable(Generic[T]):
    """A state variable as declared in a vocabulary. Read through an instance it is the term for its present value."""

    domain: Domain
    initial: Any
    doc: str
    mark: bool = False
    place: str | None = None
    durable: bool = True
    shared: bool = False
    name: str = ""

    @overload
    def __get__(self, instance: None, owner: type) -> Variable[T]: ...
    @overload
    def __get__(self, instance: Vocabulary, owner: type) -> T: ...
    def __get__(self, instance: Vocabulary | None, owner: type) -> Variable[T] | T:
        return self if instance is None else instance.terms[self.name]  # type: ignore[return-value]

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)


def flag(initial: bool, doc: str, **where: Any) -> Variable[Bool]:
    """Declare a truth value."""
    return Variable(Domain(bool), initial, doc, **where)


def nat(initial: int, doc: str, **where: Any) -> Variable[Nat]:
    """Declare a natural number."""
    return Variable(Domain(int), initial, doc, **where)


def choice(initial: E, doc: str, **where: Any) -> Variable[Choice[E]]:
    """Declare a member of the enumeration that `initial` belongs to."""
    return Variable(Domain(type(initial)), initial, doc, **where)


class Vocabulary:
    """The variables of a level, as attributes. `suffix` names a copy of the state, as in `x'` for the next one."""

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix
        self.terms: dict[str, Term] = {v.name: v.domain.term(v.name + suffix) for v in self.variables()}

    @classmethod
    def variables(cls) -> tuple[Variable[Any], ...]:
        return tuple(v for v in vars(cls).values() if isinstance(v, Variable))


class Facts:
    """A topology's facts as symbols. Asking for a fact that the topology does not state is an error of the model."""

    def __init__(self, values: Mapping[str, bool]) -> None:
        self.values = dict(values)
        self._known = Substitution((z3.Bool(FACT_PREFIX + path), z3.BoolVal(value)) for path, value in self.values.items())

    def __getitem__(self, path: str) -> Bool:
        if path not in self.values:
            raise KeyError(f"the model asks for the fact {path!r}, which the topology does not state")
        return Bool(z3.Bool(FACT_PREFIX + path))

    def told(self, node: Any) -> str:
        """The facts that `node` asks for, with their values: `group.supported = false`."""
        asked = sorted(name.removeprefix(FACT_PREFIX) for name in constants_of(node) if name.startswith(FACT_PREFIX))
        return ", ".join(f"{path} = {str(self.values[path]).lower()}" for path in asked)

    def fold(self, node: Any) -> Any:
        """`node` with each fact replaced by its value, simplified: the same text in every process. Alternatives keep their order,
        which the solver would else change by what it met before; a certificate is compared with this text."""
        return z3.simplify(self.put(node), sort_disjunctions=False)

    def put(self, node: Any) -> Any:
        """`node` with each fact replaced by its value."""
        return self._known(node)


@attrs.frozen
class Requires:
    """A precondition: where `condition` fails, the command may be rejected with `code`."""

    condition: Bool
    code: str = ""
    precheck: bool = False


@attrs.frozen
class Step:
    """What an action needs and what it does."""

    changes: Sequence[Change]
    requires: Sequence[Requires | Bool] = ()


@attrs.frozen
class Parameter:
    """A parameter of an action, with a finite domain."""

    name: str
    domain: Domain

    @property
    def term(self) -> Term:
        return self.domain.term("arg:" + self.name)


@attrs.frozen
class ActionRule:
    """An action as written: a function from facts, vocabulary and parameters to a `Step`."""

    name: str
    kind: Kind
    rule: Callable[..., Step]
    parameters: tuple[Parameter, ...]
    requirements: tuple[str, ...]
    doc: str
    operation: str = ""
    fair: bool = False
    fair_when: Callable[..., Bool] | None = None
    cuts_point: bool = False
    heals: bool = False
    by_operator: bool = False


def _declare(kind: Kind, parameters: Mapping[str, type] | None, requirements: Iterable[str],
             **more: Any) -> Callable[[Callable[..., Step]], ActionRule]:
    def declare(rule: Callable[..., Step]) -> ActionRule:
        if not rule.__doc__:
            raise TypeError(f"the action {rule.__name__} has no docstring; it is what reports print")
        return ActionRule(
            rule.__name__.rstrip("_"), kind, rule,
            tuple(Parameter(name, Domain(of)) for name, of in (parameters or {}).items()),
            tuple(requirements), " ".join(rule.__doc__.split()), **more)
    return declare


def command(operation: str, requirements: Iterable[str] = (), parameters: Mapping[str, type] | None = None,
            ) -> Callable[[Callable[..., Step]], ActionRule]:
    """Declare an operator's request; `operation` is its public name."""
    return _declare(Kind.COMMAND, parameters, requirements, operation=operation)


def environment(requirements: Iterable[str] = (), parameters: Mapping[str, type] | None = None, *, heals: bool = False,
                by_operator: bool = False) -> Callable[[Callable[..., Step]], ActionRule]:
    """Declare something that the world does. `heals`: it undoes a fault. `by_operator`: an operator can bring it about, though it
    is no request to the product."""
    return _declare(Kind.ENVIRONMENT, parameters, requirements, heals=heals, by_operator=by_operator)


def internal(requirements: Iterable[str] = (), parameters: Mapping[str, type] | None = None, *, fair: bool = True,
             fair_when: Callable[..., Bool] | None = None, cuts_point: bool = False,
             ) -> Callable[[Callable[..., Step]], ActionRule]:
    """Declare a step of the system's own progress. `fair`: it may not be put off for ever, at least where `fair_when`, a
    term over facts and state, holds; elsewhere it may be taken and need not be. `cuts_point`: when it is
    taken, a new recovery point is advertised at the position `latest`."""
    return _declare(Kind.INTERNAL, parameters, requirements, fair=fair, fair_when=fair_when, cuts_point=cuts_point)


@attrs.frozen
class Guard:
    """One precondition of a built action: z3 terms, as written and folded."""

    written: Any
    folded: Any
    code: str
    precheck: bool


@attrs.frozen(eq=False)
class Action:
    """An action of a built model. `changes` maps variable names to folded z3 terms for their next values. `taker` names the
    machine of a crowd whose step it is; empty for a step of no machine in particular."""

    name: str
    kind: Kind
    doc: str
    requirements: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    guards: tuple[Guard, ...]
    changes: Mapping[str, Any]
    written_changes: Mapping[str, Any]
    operation: str
    fair: bool
    fair_when: Any
    cuts_point: bool
    taker: str = ""
    heals: bool = False
    by_operator: bool = False

    @property
    def enabled(self) -> Any:
        """The z3 term: every precondition holds."""
        return z3.And(*(guard.folded for guard in self.guards)) if self.guards else z3.BoolVal(True)

    @cached_property
    def constants(self) -> tuple[tuple[frozenset[str], ...], dict[str, frozenset[str]]]:
        """What each precondition speaks of, and what each new value does."""
        return (tuple(frozenset(constants_of(guard.folded)) for guard in self.guards),
                {name: frozenset(constants_of(value)) for name, value in self.changes.items()})

    def instances(self) -> list[tuple[int | bool, ...]]:
        """Every tuple of coded argument values."""
        rows: list[tuple[int | bool, ...]] = [()]
        for parameter in self.parameters:
            rows = [(*row, value) for row in rows for value in parameter.domain.values or ()]
        return rows


@attrs.frozen(eq=False)
class Model:
    """A system: variables, initial state and actions, over the facts of one topology. `machines` names the machines of a
    crowd; the last one is "the other", who stands for all that are not named.

    Raises `ValueError` when it is built with a guard or an unmarked variable that depends on a mark, or with an action that
    changes a shared variable and is not the same step for every machine.
    """

    name: str
    level: str
    variables: tuple[Variable[Any], ...]
    actions: tuple[Action, ...]
    facts: Facts
    vocabulary: type[Vocabulary]
    machines: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        marks = {v.name for v in self.variables if v.mark} | {"arg:mark"}
        for action in self.actions:
            asked, becomes = action.constants
            for guard, names in zip(action.guards, asked, strict=True):
                if bad := names & marks:
                    raise _content(f"the guard {guard.code or guard.written} of {action.name}", bad)
            if bad := frozenset(constants_of(action.fair_when)) & marks:
                raise _content(f"the fairness of {action.name}", bad)
            for name, names in becomes.items():
                if name not in marks and (bad := names & marks):
                    raise _content(f"the next value of {name} in {action.name}", bad)
            if self.is_one_of_many and self.is_world(action):
                self._same_for_all(action)

    @property
    def shared(self) -> frozenset[str]:
        """Names of the variables that are the same for every machine."""
        return frozenset(v.name for v in self.variables if v.shared)

    @property
    def is_one_of_many(self) -> bool:
        """Whether it speaks of one machine among any number that have something in common."""
        return bool(self.shared) and not self.machines

    def is_world(self, action: Action) -> bool:
        """Whether `action` changes what is shared: then every machine takes it at once."""
        return not self.shared.isdisjoint(action.changes)

    def _same_for_all(self, action: Action) -> None:
        """A step that changes what is shared must be possible for all machines or for none, and do the same to what they
        share: or else it would be one machine's doing, and the others' step would not be this one."""
        own, hit = set(self.names) - self.shared, sorted(self.shared & action.changes.keys())
        what = f"{action.name} changes {', '.join(hit)}"
        if action.kind is not Kind.ENVIRONMENT:
            raise ValueError(f"{what}, which all machines share: only the environment may")
        asked, becomes = action.constants
        if found := own & frozenset().union(*asked, *(becomes[name] for name in hit)):
            raise ValueError(f"{what}, which all machines share, and looks at one machine's {', '.join(sorted(found))}")

    def machines_in(self, node: Any) -> frozenset[str]:
        """The machines of a crowd that a term speaks of."""
        return frozenset(name.partition(".")[0] for name in constants_of(node)) & frozenset(self.machines)

    def speaks_of_few(self, node: Any) -> bool:
        """Whether a term speaks of fewer machines than the crowd has names: only such a one can be shown of any number."""
        return not self.machines or len(self.machines_in(node)) < len(self.machines)

    def action(self, name: str) -> Action:
        return next(a for a in self.actions if a.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(v.name for v in self.variables)

    @property
    def initial(self) -> tuple[int | bool, ...]:
        """The initial state as a tuple of codes, in the order of `variables`."""
        return tuple(v.domain.code(v.initial) for v in self.variables)

    def without_marks(self) -> Model:
        """The same system with only what guards can see: what an oracle follows, since positions determine content."""
        marks = {v.name for v in self.variables if v.mark}
        return attrs.evolve(
            self, variables=tuple(v for v in self.variables if v.name not in marks),
            actions=tuple(
                attrs.evolve(
                    a, parameters=tuple(p for p in a.parameters if p.name != "mark"),
                    changes={n: c for n, c in a.changes.items() if n not in marks},
                    written_changes={n: c for n, c in a.written_changes.items() if n not in marks})
                for a in self.actions))

    def show(self, state: Sequence[int | bool]) -> dict[str, Any]:
        """A coded state with names and decoded values."""
        return {v.name: v.domain.decode(code) for v, code in zip(self.variables, state, strict=True)}


def _content(where: str, bad: frozenset[str]) -> ValueError:
    return ValueError(f"{where} depends on content ({', '.join(sorted(bad))}): data independence is lost")


def build_model(name: str, level: str, vocabulary: type[V], rules: Iterable[ActionRule],
                facts: Mapping[str, bool]) -> Model:
    """Instantiate `rules` over `vocabulary` and the facts of a topology. Raises `ValueError` for a rule that is not one of a
    single machine, or changes a variable twice."""
    known, world = Facts(facts), vocabulary()
    actions = []
    for rule in rules:
        step = rule.rule(known, world, *(p.term for p in rule.parameters))
        if type(step) is not Step:
            raise ValueError(f"{rule.name} is written for a crowd of machines; build it with `siteproof.model.crowd`")
        guards = []
        for need in step.requires:
            one = need if isinstance(need, Requires) else Requires(need)
            guards.append(Guard(one.condition.node, known.fold(one.condition.node), one.code, one.precheck))
        written = {c.name: c.value.node for c in step.changes}
        if len(written) != len(step.changes):
            raise ValueError(f"{rule.name} changes a variable twice")
        fair_when = rule.fair_when(known, world) if rule.fair_when is not None else And()
        actions.append(Action(
            rule.name, rule.kind, rule.doc, rule.requirements, rule.parameters, tuple(guards),
            {n: known.fold(v) for n, v in written.items()}, written, rule.operation, rule.fair,
            known.fold(fair_when.node), rule.cuts_point, heals=rule.heals, by_operator=rule.by_operator))
    return Model(name, level, vocabulary.variables(), tuple(actions), known, vocabulary)


def remembered(build: B) -> B:
    """For a function that builds a level's model from a topology's id, its facts and what else is hashable: who asks again for
    the same model is given it again. A model is a value, and takes up to a second to build."""

    @lru_cache(maxsize=16)
    def made(name: str, facts: tuple[tuple[str, bool], ...], *more: Any) -> Model:
        return build(name, dict(facts), *more)

    @wraps(build)
    def ask(name: str, facts: Mapping[str, bool], *more: Any) -> Model:
        return made(name, tuple(facts.items()), *more)

    return cast(B, ask)


def all_of(parts: Iterable[Bool]) -> Bool:
    """Conjunction of an iterable."""
    return And(*parts)
