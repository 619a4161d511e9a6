"""What all verbs share: their common options, where output goes, and JSON.

Rules
1. `--json`, `--seed`, `--quiet` and `--log-level` mean the same for every verb. They are declared once, here, and reach a verb
   as its first argument, a `Session`.
2. With `--json -` standard output carries JSON and nothing else; the words for people move to standard error.
3. Every JSON document has the same envelope: `schema` (name and version), `siteproof` (version), `exit`; see `docs/json.md`.
4. Moving progress is shown on a terminal only; elsewhere long verbs write a line for each flow to standard error.
   `NO_COLOR` is honoured (rich does).
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from siteproof.conformance.exits import Exit
from siteproof.conformance.report.data import emitted
from siteproof.conformance.report.folder import PlaceError
from siteproof.model.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LogLevel", "Session", "check_writable", "parse_duration", "shared", "version"]


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@attrs.define
class Session:
    """One run of a verb. `seed` is None when the user gave none."""

    json: str | None = None
    seed: int | None = None
    quiet: bool = False
    log_level: LogLevel = LogLevel.WARNING

    @functools.cached_property
    def out(self) -> Console:
        """Where words for people go."""
        from rich.console import Console

        console = Console(stderr=self.json == "-", quiet=self.quiet, highlight=False, emoji=False)
        if not console.is_terminal and "COLUMNS" not in console._environ:
            console.width = 120
        return console

    @functools.cached_property
    def progress(self) -> Console:
        """Where progress goes: standard error, and nowhere unless that is a terminal."""
        from rich.console import Console

        return Console(stderr=True, quiet=self.quiet or not sys.stderr.isatty(), highlight=False, emoji=False)

    def emit(self, schema: str, code: Exit, content: Mapping[str, Any]) -> None:
        """Write the JSON document, if one was asked for."""
        if self.json is None:
            return
        text = (
            json.dumps(
                {"schema": schema, "siteproof": version(), "exit": int(code), **emitted(content)}, indent=2, ensure_ascii=False
            )
            + "\n"
        )
        if self.json == "-":
            sys.stdout.write(text)
        else:
            Path(self.json).write_text(text, encoding="utf-8")


def version() -> str:
    """The installed version."""
    from importlib.metadata import version as installed

    return installed("siteproof")


_JSON = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write the result as JSON ('-': to standard output).",
        rich_help_panel="Shared options",
    ),
]
_SEED = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, metavar="N", help="Decides everything that is left to chance.", rich_help_panel="Shared options"
    ),
]
_QUIET = Annotated[
    bool, typer.Option("--quiet", "-q", help="No output but errors; the exit code tells.", rich_help_panel="Shared options")
]
_LOG = Annotated[
    LogLevel,
    typer.Option("--log-level", help="How much the tool says about itself, on standard error.", rich_help_panel="Shared options"),
]


def shared(verb: Callable[..., Exit]) -> Callable[..., int]:
    """Give a verb the shared options. It is called with a `Session` and its own arguments."""
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, annotation, default in (
            ("json_file", _JSON, None),
            ("seed", _SEED, None),
            ("quiet", _QUIET, False),
            ("log_level", _LOG, LogLevel.WARNING),
        )
    ]

    @functools.wraps(verb)
    def run(*, json_file: str | None, seed: int | None, quiet: bool, log_level: LogLevel, **arguments: Any) -> int:
        check_writable("--json", json_file)
        logging.basicConfig(level=log_level.value.upper(), format="siteproof: %(levelname)s: %(name)s: %(message)s")
        try:
            return int(verb(Session(json_file, seed, quiet, log_level), **arguments))
        except KeyboardInterrupt:
            raise typer.Abort from None  # the parser's own handling of Ctrl-C differs between its versions

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + common
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__wrapped__
    return run


def check_writable(option: str, file: str | Path | None) -> None:
    """An output that cannot be written is told before the work, not after it. Raises `UsageError`, `PlaceError`."""
    if file in (None, "-"):
        return
    path = Path(str(file))
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {file}", "a file in a folder that exists", "make the folder, or name another file")
    if path.exists() and not path.is_file():  # a pipe or a device: to open it may have an effect
        if not os.access(path, os.W_OK):
            raise PlaceError(option, path, "Permission denied")
        return
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise PlaceError(option, path, error.strerror or "no reason given") from None


def parse_duration(text: str, option: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `1h30m`. Raises `UsageError`."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    total, number = 0.0, ""
    for letter in text.strip():
        if letter in units and number:
            total, number = total + float(number) * units[letter], ""
        elif letter.isdigit() or (letter == "." and "." not in number):
            number += letter
        else:
            raise UsageError(f"{option} {text}", "a time such as 90s, 10m or 1h30m", f"write {option} 10m")
    total += float(number) if number not in ("", ".") else 0
    if total <= 0:
        raise UsageError(f"{option} {text}", "a time above zero, such as 90s, 10m or 1h30m", f"write {option} 10m")
    return total
