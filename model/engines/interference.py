"""The steps of other machines: what makes a proof about one machine a proof about any number of them side by side.

Rules
1. A model that shares variables (`siteproof.model.system`, rule 5) stands for a system of any number of machines: each has
   its own copy of the machine's own variables, what is shared there is once. A step of the system is a step of one machine,
   or a world action that every machine takes at once.
2. *Thread-modular proof.* Let I speak of one machine and of what is shared, and let it hold of every machine at the start
   (initiation). It goes on to hold of each machine m, if three kinds of steps keep it. Steps of m itself, and world actions,
   which are m's steps too: that is consecution. And a step of another machine, which has its own copy of the variables: that
   is *interference*, one obligation for each action that is not the world's. That machine's own variables are written
   `other:…`; m's own stay, the shared ones become what the step makes of them.
3. Then I holds of every machine in every reachable state, by induction over the steps of the system, however many machines
   it has: an obligation speaks of m and of the one that moves, and of nobody else.
4. One might assume of the other machine that I holds of it as well. It is not assumed: since a model in which one machine's
   step changes what is shared is refused when it is built, the obligations are met whatever state the other one is in, which
   says more, with half the text and in a third of the time.
5. For m, then, another machine's step changes nothing. So a step claim about all steps needs one obligation more: that it
   holds of a step that changes nothing at all.
6. In a crowd (`siteproof.model.crowd`) the other machine is one of the named ones, of which the invariant is assumed, and
   interference is the consecution of its actions.

Source: Flanagan and Qadeer, Thread-modular model checking (SPIN 2003); Owicki and Gries, An axiomatic proof technique for
parallel programs I (Acta Informatica 6, 1976).
"""

from __future__ import annotations

from typing import Any

import z3

from siteproof.model.readings import smt
from siteproof.model.readings.smt import Named
from siteproof.model.system import Action, Model, constants_of

__all__ = ["others_actions", "step_of_other", "still"]

OTHER = smt.OTHER


def others_actions(model: Model) -> tuple[Action, ...]:
    """The actions that another machine can take without this one: all but the world's. None in a model that speaks of all
    the machines that it knows."""
    return tuple(a for a in model.actions if not model.is_world(a)) if model.is_one_of_many else ()


def step_of_other(model: Model, action: Action, *, folded: bool = False) -> list[Named]:
    """The relation in which the other machine takes `action` and this one stands still; conjuncts are called as in
    `smt.transition`, those of the other machine with `other.` in front."""
    later, rows = smt.constants(model, smt.PRIME), []
    for row in smt.transition(model, action, folded=folded):
        name = row.name.partition(".")[2]
        if name in model.shared and row.name.startswith(("effect", "frame")):
            rows.append(Named(row.name, _of_other(model, row.node)))
        else:
            rows.append(Named("other." + row.name, _of_other(model, row.node)))
    own = [v for v in model.variables if not v.shared]
    return [*rows, *(Named(f"frame.{v.name}", later[v.name] == v.domain.constant(v.name)) for v in own)]


def still(model: Model) -> list[Named]:
    """The step that changes nothing: what another machine's step is for this one."""
    later = smt.constants(model, smt.PRIME)
    return [Named(f"frame.{name}", later[name] == node) for name, node in smt.constants(model).items()]


def _of_other(model: Model, node: Any) -> Any:
    """A term with the other machine's own variables, now and later, in place of this one's."""
    own = {v.name: v.domain for v in model.variables if not v.shared}
    asked = ((name, own.get(name.removesuffix(smt.PRIME))) for name in constants_of(node))
    return z3.substitute(node, *((domain.constant(name), domain.constant(OTHER + name)) for name, domain in asked if domain))
