"""The way home (P19): from every state after the faults an operator can bring the machine home, and is told how.

Rules
1. *Home* is what the level says it is; *ended* states, where an operator's own request or a declared loss has given the way up,
   owe nothing. From every other healed state of the explored scope there has to be a *strategy*: for each state a request to
   make, or to wait. The system is the adversary: it takes whatever internal steps it likes, and is held to its fairness alone. So
   what is found does not depend on luck. The operator, who goes on asking until the request is granted, gets the chance to in the
end. 2. It is computed backwards from home. A part (states in which the system can go round by itself) is won in the round after
   every step out of it is won, if some fair action always leads out of it (*wait*), or if from each of its states a request leads
   to what is won (*ask*). The round is its rank; along the strategy it only falls, and that is checked step by step afterwards.
3. A request beyond the wider scope is first taken to be useless: what is won all the same is won. If a state is lost, it is taken
   to win at once: what is lost even then has no way home, which is a finding. Between the two, undetermined.
4. The strategy is told as a table over as few variables as decide it, with as few kinds of requests as are enough: what an
   operator can do without is left out, first what takes an argument, then what is declared last.

Source: attractors as in Grädel, Thomas, Wilke (eds.), Automata, Logics, and Infinite Games (LNCS 2500), chapter 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from siteproof.model.aftermath import BEYOND, Aftermath, Part, is_operators
from siteproof.model.ending import Found, RankingError
from siteproof.model.readings.english import name_value
from siteproof.model.readings.python import arguments_of
from siteproof.model.results import Trace
from siteproof.model.system import Action, Kind

__all__ = ["Advice", "WayHome", "check_strategy", "way_home"]

WAIT = "wait"


@attrs.frozen
class Advice:
    """In a state like `where` (values by variable; one that is not named does not matter) do `move`: a request with its
    arguments, something else in the operator's hands, or, in a state like none of those before, wait. `request` says whether the
    product is asked. `rounds` is the most that still lie ahead."""

    where: dict[str, str]
    move: str
    request: bool
    states: int
    rounds: int


@attrs.frozen
class WayHome:
    """Whether there is always a way home. `states` are those that are owed one, `rounds` the most that a way takes, `lost` those
    without one, `trace` a shortest way to such a state."""

    found: Found
    reason: str
    states: int
    ended: int
    rounds: int
    advice: tuple[Advice, ...]
    lost: int
    trace: Trace | None


@attrs.frozen(eq=False)
class _Game:
    """Parts of all states that are not home, with who leads where."""

    after: Aftermath
    home: list[bool]
    parts: list[Part]
    part_of: dict[int, int]
    without: frozenset[str] = frozenset()

    def moves(self, state: int) -> list[tuple[int, int]]:
        """The operator's moves that are used: instance and target."""
        if not self.without:
            return self.after.moves[state]
        instances = self.after.graph.instances
        return [(one, target) for one, target in self.after.moves[state] if instances[one][0].name not in self.without]

    def ranks(self, *, hopeful: bool) -> dict[int, int]:
        """The round in which each state is won; home is won in round 0. `hopeful`: what lies beyond is won from the start."""
        part_of, parts = self.part_of, self.parts
        owed = [0] * len(parts)
        without = [len(part.states) for part in parts]
        led: dict[int, list[int]] = {}
        asked: dict[int, list[int]] = {}
        served: set[int] = set()
        for number, part in enumerate(parts):
            owed[number] = len(part.out)
            for target in part.out:
                led.setdefault(target, []).append(number)
            for state in part.states:
                for _one, target in self.moves(state):
                    asked.setdefault(target, []).append(state)
        rank: dict[int, int] = {state: 0 for state, there in enumerate(self.home) if there}
        fresh = [*rank, *([BEYOND] if hopeful else [])]
        won: set[int] = set()
        round_ = 0
        candidates = {number for number, part in enumerate(parts) if not part.out and part.helpful}
        while fresh or candidates:
            round_ += 1
            for state in fresh:
                for number in led.get(state, ()):
                    owed[number] -= 1
                    candidates.add(number)
                for asker in asked.get(state, ()):
                    if asker not in served:
                        served.add(asker)
                        without[part_of[asker]] -= 1
                        candidates.add(part_of[asker])
            fresh = []
            for number in sorted(candidates):
                if number not in won and not owed[number] and (parts[number].helpful or not without[number]):
                    won.add(number)
                    fresh += parts[number].states
            rank.update(dict.fromkeys(fresh, round_))
            candidates = set()
        return rank

    def choices(self, state: int, rank: Mapping[int, int]) -> frozenset[int]:
        """What may be done in a won state: instances of requests that lead lower, and `BEYOND` for waiting."""
        part = self.parts[self.part_of[state]]
        lower = {one for one, target in self.moves(state) if target != BEYOND and rank.get(target, rank[state]) < rank[state]}
        return frozenset(lower | ({BEYOND} if part.helpful else set()))


def way_home(after: Aftermath, home: Any, ended: Any | None) -> WayHome:
    """Whether an operator can always bring home what `home` (a term over one state) says, unless `ended` holds."""
    at_home = after.predicate(home)
    over = after.predicate(ended) if ended is not None else [False] * len(at_home)
    parts = after.parts(state for state in after.known if not at_home[state])
    game = _Game(after, at_home, parts, {state: number for number, part in enumerate(parts) for state in part.states})
    roots = [state for state in after.roots if state < len(over) and not over[state]]
    rank = game.ranks(hopeful=False)
    lost = [state for state in roots if state not in rank]
    cut = after.core.stopped or after.graph.stopped
    ended_ = sum(over[state] for state in after.roots if state < len(over))
    common = (len(roots), ended_, max((rank[state] for state in roots if state in rank), default=0))
    if lost:
        hopeful = game.ranks(hopeful=True)
        sure = [state for state in lost if state not in hopeful]
        if sure:
            trace = after.trace(after.path(min(sure)), _nowhere(after, min(sure)), shortest=True)
            return WayHome(Found.BROKEN, "from some states no strategy leads home", *common, (), len(sure), trace)
        reason = "a way home may need more than the wider scope allows" if not cut else f"the exploration was cut off ({cut})"
        return WayHome(Found.UNDETERMINED, reason, *common, (), len(lost), None)
    if cut:
        return WayHome(Found.UNDETERMINED, f"the exploration was cut off ({cut})", *common, (), 0, None)
    if not any(at_home):
        return WayHome(Found.NOT_APPLICABLE, "no state is owed a way home", *common, (), 0, None)
    game, rank = _simpler(game, roots, rank)
    check_strategy(game, rank)
    advice = _advice(game, _covered(game, roots, rank), rank)
    return WayHome(Found.HOLDS, "", len(roots), ended_, max((rank[state] for state in roots), default=0), advice, 0, None)


def _simpler(game: _Game, roots: list[int], rank: dict[int, int]) -> tuple[_Game, dict[int, int]]:
    """The game with as few kinds of moves as still lead home from all of `roots`, and its ranks."""
    used = [action for action in reversed(game.after.model.actions) if is_operators(action)]
    for name in (action.name for action in sorted(used, key=lambda action: not action.parameters)):
        fewer = attrs.evolve(game, without=game.without | {name})
        ranks = fewer.ranks(hopeful=False)
        if all(state in ranks for state in roots):
            game, rank = fewer, ranks
    return game, rank


def check_strategy(game: _Game, rank: Mapping[int, int]) -> None:
    """Check that from every won state no step of the system raises the rank, one that stays in the part keeps it, and waiting or
    asking lowers it. Raises `RankingError`."""
    after = game.after
    for state, here in rank.items():
        if game.home[state]:
            continue
        part = game.part_of[state]
        for name, target in after.steps[state]:
            if target == BEYOND or not (rank.get(target, here) < here or game.part_of.get(target) == part):
                raise RankingError(f"{name} leads away from home in a state of rank {here}")
        helps = set(game.parts[part].helpful)
        for name in helps:
            if name not in after.fair[state] or any(n == name and rank.get(t, here) >= here for n, t in after.steps[state]):
                raise RankingError(f"waiting for {name} does not lead home in a state of rank {here}")
        if not game.choices(state, rank):
            raise RankingError(f"there is nothing to do in a state of rank {here}")


def _covered(game: _Game, roots: Iterable[int], rank: Mapping[int, int]) -> list[int]:
    """The states, home not among them, that somebody who comes from `roots` and follows the strategy can be in."""
    seen, todo = set(roots), list(roots)
    while todo:
        state = todo.pop()
        if game.home[state]:
            continue
        choices = game.choices(state, rank)
        targets = [target for _name, target in game.after.steps[state]]
        targets += [target for one, target in game.moves(state) if one in choices]
        for target in targets:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return sorted(state for state in seen if not game.home[state])


def _advice(game: _Game, states: list[int], rank: Mapping[int, int]) -> tuple[Advice, ...]:
    """The strategy as a table: variables are left out as long as one move still serves all states that look alike."""
    model = game.after.model
    groups: Groups = {}
    for state in states:
        _join(groups, game.after.state(state), game.choices(state, rank), 1, rank[state])
    names = list(range(len(model.variables)))
    order = sorted(names, key=lambda at: (not model.variables[at].domain.is_nat, model.variables[at].domain.of is not bool))
    for variable in order:
        smaller: Groups = {}
        at = names.index(variable)
        if all(_join(smaller, (*key[:at], *key[at + 1:]), *value) for key, value in groups.items()):
            groups, names = smaller, [*names[:at], *names[at + 1:]]
    told, open_ = [], {key for key, (choices, _count, _rounds) in groups.items() if BEYOND not in choices}
    for key in sorted(open_, key=lambda key: (-groups[key][2], key)):
        if key not in open_:
            continue
        move, kept = max((_general(groups, key, one) for one in sorted(groups[key][0])),
                         key=lambda found: len(_like(open_, key, found[1])))
        alike = _like(open_, key, kept)
        open_ -= alike
        where = {model.variables[names[at]].name: name_value(model.variables[names[at]].domain.decode(key[at])) for at in kept}
        told.append(Advice(where, *_told(game.after.graph.instances[move]), sum(groups[one][1] for one in alike),
                           max(groups[one][2] for one in alike)))
    waiting = [group for group in groups.values() if BEYOND in group[0]]
    if waiting:
        told.append(Advice({}, WAIT, False, sum(group[1] for group in waiting), max(group[2] for group in waiting)))
    return tuple(told)


Groups = dict[tuple[Any, ...], tuple[frozenset[int], int, int]]


def _like(keys: Iterable[tuple[Any, ...]], key: tuple[Any, ...], kept: tuple[int, ...]) -> set[tuple[Any, ...]]:
    """The keys that agree with `key` at the places in `kept`."""
    return {one for one in keys if all(one[at] == key[at] for at in kept)}


def _general(groups: Groups, key: tuple[Any, ...], move: int) -> tuple[int, tuple[int, ...]]:
    """The move, and the few places of `key` that are enough to know that it may be made."""
    kept = tuple(range(len(key)))
    for at in range(len(key)):
        fewer = tuple(one for one in kept if one != at)
        if all(move in groups[one][0] for one in _like(groups, key, fewer)):
            kept = fewer
    return move, kept


def _told(instance: tuple[Action, tuple[int | bool, ...]]) -> tuple[str, bool]:
    """A move in words, and whether it is a request to the product."""
    action, arguments = instance
    given = ", ".join(f"{name} = {name_value(value)}" for name, value in arguments_of(action, arguments).items())
    title = action.operation or action.name.replace("_", " ")
    return title + (f" ({given})" if given else ""), action.kind is Kind.COMMAND


def _join(groups: Groups, key: tuple[Any, ...], choices: frozenset[int], count: int, rounds: int) -> bool:
    """Add to a group; whether a move is left that serves all of it."""
    old = groups.get(key)
    if old is not None:
        choices, count, rounds = choices & old[0], count + old[1], max(rounds, old[2])
    groups[key] = (choices, count, rounds)
    return bool(choices)


def _nowhere(after: Aftermath, state: int) -> str:
    moves = sorted({after.graph.instances[one][0].operation for one, _ in after.moves[state]} - {""})
    asked = f"what can still be asked for is {', '.join(moves)}" if moves else "no request is granted any more"
    return f"From here no strategy leads home, though nothing is broken: {asked}."
