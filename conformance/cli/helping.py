"""How `--help` looks, the same for every verb and group.

Rules
1. Help text is prose: it is wrapped where it is shown, and nowhere before.
2. What a user writes behind an option is named; a flag, behind which nothing is written, shows nothing. No name of a Python
   type is shown.
3. Every group of verbs ends with the exit codes, since they are the same for all.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["EXITS", "finish", "verbs"]

EXITS = (
    "Exit codes: 0 conforms, all proved · 1 violation, refuted · 2 inconclusive, undetermined · 3 driver or environment error · "
    "4 usage or specification error · 5 a bug of ours · 130 interrupted · 141 the reader of the output went away."
)


def flowing(text: str | None) -> str | None:
    """Paragraphs without line breaks of their own."""
    return None if text is None else "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _nothing(ctx: Any) -> None:
    """No type."""


class _Shown:
    """What commands and groups have in common."""

    def __init__(self, *given: Any, help: str | None = None, **more: Any) -> None:
        super().__init__(*given, help=flowing(help), **more)  # type: ignore[call-arg]

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, without the types of flags and of arguments."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in found:
            if one.param_type_name == "argument":
                one.display_type_rich = _nothing
            elif getattr(one, "is_flag", False):
                one.metavar = ""
        return found


class _Verb(_Shown, TyperCommand):
    """A verb."""


class _Group(_Shown, TyperGroup):
    """A group of verbs."""


def verbs(**given: str) -> typer.Typer:
    """A group of verbs without any yet, with its `name` or its `help`."""
    return typer.Typer(
        **given,  # type: ignore[arg-type]
        cls=_Group,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        epilog=EXITS,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def finish(*groups: typer.Typer) -> None:
    """Give all verbs of some groups this look."""
    for group in groups:
        for verb in group.registered_commands:
            verb.cls = _Verb
