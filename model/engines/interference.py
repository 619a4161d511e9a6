"""The steps of other machines: what makes a proof about one machine a proof about any number of them side by side.

Rules
1. A model that shares variables (`siteproof.model.system`, rule 5) stands for a system of any number of machines: each has
   its own copy of the machine's own variables, what is shared there is once. A step of the system is a step of one machine,
   or a world action that every machine takes at once.
2. *Thread-modular proof.* Let I speak of one machine and of what is shared, and let it hold of every machine at the start
   (initiation). It goes on to hold of each machine m, if three kinds of steps keep it. Steps of m itself, and world actions,
   which are m's steps too: that is consecution. And a step of another machine, which has its own copy of the variables: that
   is *interference*.
3. Then I holds of every machine in every reachable state, by induction over the steps of the system, however many machines
   it has: an obligation speaks of m and of the one that moves, and of nobody else.
4. A model in which one machine's step changes what is shared is refused when it is built. So the write set of another machine's
   step and what I speaks of have nothing in common: m's own variables are not the other's to write, and the shared ones stay.
   By the frame rule (`siteproof.model.readings.smt`, rule 5) one obligation does for all actions of all others: the shared
   variables are asserted to be the same afterwards, and every conjunct that speaks of one has to hold of those. It assumes
   nothing of the other machine, neither a guard nor that I holds of it, which says more and with less text.
5. A step claim about all steps has to hold of that step as well; it is part of the same obligation.
6. In a crowd (`siteproof.model.crowd`) the other machine is one of the named ones, of which the invariant is assumed, and
   interference is the consecution of its actions.

Source: Flanagan and Qadeer, Thread-modular model checking (SPIN 2003); Owicki and Gries, An axiomatic proof technique for
parallel programs I (Acta Informatica 6, 1976).
"""

from __future__ import annotations

import attrs

from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named, Renaming
from siteproof.model.system import Action, Model

__all__ = ["SeenOfOthers", "others_actions", "seen_of_others"]


def others_actions(model: Model) -> tuple[Action, ...]:
    """The actions that another machine can take without this one: all but the world's. None in a model that speaks of all
    the machines that it knows."""
    return tuple(a for a in model.actions if not model.is_world(a)) if model.is_one_of_many else ()


@attrs.frozen(eq=False)
class SeenOfOthers:
    """What this machine sees of another machine's step: `rows` say that what they share is the same afterwards; `after` leads
    from a state to the next one, and `within` from what is said of two states to what is said of this step."""

    rows: tuple[Named, ...]
    after: Renaming
    within: Renaming


def seen_of_others(model: Model) -> SeenOfOthers:
    """The step of another machine as this one sees it. Raises `ValueError` where it would change what is shared."""
    if wrong := [a.name for a in others_actions(model) if not model.shared.isdisjoint(a.written_changes)]:
        raise ValueError(f"{wrong[0]} of one machine changes what all machines share")
    shared = [v for v in model.variables if v.shared]
    rows = tuple(Named(f"frame.{v.name}", v.domain.constant(v.name + smt.PRIME) == v.domain.constant(v.name)) for v in shared)
    return SeenOfOthers(rows, smt.after(model, model.shared), smt.within(model, model.shared))
