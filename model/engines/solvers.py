"""Two independent solvers that read SMT-LIB 2 text, each from nothing: z3 and cvc5.

Rules
1. Each script gets a solver of its own; nothing that an earlier query has learned takes part.
2. There are three answers: `unsat`, `sat` and `unknown`. A time-out, a complaint of the parser, anything unexpected is
   `unknown` with the reason.
"""

from __future__ import annotations

import attrs
import z3

__all__ = ["Answer", "ask_cvc5", "ask_z3", "cvc5_version", "z3_version"]


@attrs.frozen
class Answer:
    """What a solver said: `unsat`, `sat` or `unknown`, and why it does not know."""

    answer: str
    reason: str = ""


def z3_version() -> str:
    """Name and version of the first solver."""
    return f"z3 {z3.get_version_string()}"


def cvc5_version() -> str:
    """Name and version of the second solver; empty where it is not installed."""
    try:
        import cvc5
    except ImportError:
        return ""
    return f"cvc5 {cvc5.__version__}"


def ask_z3(text: str, seconds: float = 20.0, context: z3.Context | None = None) -> Answer:
    """The answer of a fresh z3 to a script with one `check-sat`. A `context` apart from the one that proofs are made in is
    made when none is given; to share one among many scripts saves the larger part of the time."""
    solver = z3.SolverFor("QF_LIA", ctx=context or z3.Context())
    solver.set("timeout", int(seconds * 1000))
    try:
        solver.from_string(text)
        answer = str(solver.check())
    except z3.Z3Exception as error:
        return Answer("unknown", f"z3 cannot read it: {error}")
    return Answer(answer, solver.reason_unknown() if answer == "unknown" else "")


def ask_cvc5(text: str, seconds: float = 20.0) -> Answer:
    """The answer of a fresh cvc5 to a script with one `check-sat`."""
    import cvc5

    solver = cvc5.Solver(cvc5.TermManager())
    solver.setOption("tlimit-per", str(int(seconds * 1000)))
    parser = cvc5.InputParser(solver)
    said = []
    try:
        parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "obligation")
        symbols = parser.getSymbolManager()
        while not (command := parser.nextCommand()).isNull():
            if told := str(command.invoke(solver, symbols) or "").strip():
                said.append(told)
    except RuntimeError as error:
        return Answer("unknown", f"cvc5 cannot read it: {error}")
    if len(said) == 1 and said[0] in ("unsat", "sat"):
        return Answer(said[0])
    return Answer("unknown", "; ".join(said) or "cvc5 said nothing")
