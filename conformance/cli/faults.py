"""What happens when something goes wrong on the command line: whose fault it is, in one line, and the exit code.

Rules
1. Errors that carry an exit code (`SiteproofError`) and those of the command line's parser are the user's or the
   environment's; they are told and nothing more.
2. Everything else is a bug of ours. Its traceback is kept in a file, or shown with `--log-level debug`.
3. Text from outside is printed as it is, never read as markup, and without control characters.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from itertools import pairwise

import typer

from siteproof.conformance.exits import Exit
from siteproof.model.errors import SiteproofError, one_line

__all__ = ["guarded"]

_PARSER_ERROR = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def guarded(arguments: Sequence[str]) -> int:
    """Run the command line and turn whatever goes wrong into a line and a code."""
    from siteproof.conformance.cli.app import app

    try:
        with _terminated_like_interrupted():
            code = app(args=list(arguments), standalone_mode=False, prog_name="siteproof")
        sys.stdout.flush()
    except SiteproofError as error:
        say(str(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # a console that could not write
            return _reader_gone()
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: it is told, kept and given a code
        if isinstance(error, _PARSER_ERROR):
            return _of_parser(error)
        if isinstance(error, OSError) and error.filename is not None:
            say(f"{error.filename}: {error.strerror}")
            return Exit.ENVIRONMENT
        return _bug(error, debug=_wants_debug(arguments))
    return int(code) if isinstance(code, int) else Exit.OK


def _reader_gone() -> int:
    """Whoever read our output has closed it, as `head` does. What was left may have mattered, so this is no 0."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter's last flush is silent
    return Exit.PIPE


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """A polite request to end is treated like Ctrl-C, so that what is there is reported and nothing is left behind."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: whoever runs us there handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def say(text: str) -> None:
    """Lines on standard error, each marked as ours and free of control characters."""
    for line in text.splitlines() or [""]:
        print(f"siteproof: {one_line(line)}", file=sys.stderr, flush=True)


def _of_parser(error: Exception) -> int:
    message = " ".join(error.format_message().split()) if hasattr(error, "format_message") else str(error)
    message = message.replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help())
        return Exit.USAGE
    path = context.command_path if context is not None else "siteproof"
    say(f"usage error: {message.rstrip('.')}; see `{path} --help`")
    return Exit.USAGE


def _wants_debug(arguments: Sequence[str]) -> bool:
    return "--log-level=debug" in arguments or ("--log-level", "debug") in pairwise(arguments)


def _bug(error: Exception, *, debug: bool) -> int:
    text = "".join(traceback.format_exception(error))
    told = f"this is a bug of siteproof ({type(error).__name__}: {error}); please report it"
    if debug:
        print(text, file=sys.stderr, end="")
        say(told + " with the traceback above")
        return Exit.BUG
    with tempfile.NamedTemporaryFile("w", prefix="siteproof-", suffix=".traceback.txt", delete=False, encoding="utf-8") as file:
        file.write(text)
    say(f"{told} with the traceback in {file.name} (--log-level debug shows it here)")
    return Exit.BUG
