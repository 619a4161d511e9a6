"""The report folder: what is in it, and when it may be replaced.

Rules
1. A folder is *ours* when it holds the marker file. Only such a folder, or an empty one, is ever written to; anything else is
   an error before any work is done. Folders of certificates have a marker of their own.
2. A report is written into a new folder beside its place and moved there when it is complete, so that a reader never meets
   half of one. The old one is removed after the new one stands.
3. A counterexample is a finding, and outlives the report that it was found for: those of the old report are kept, with their
   tests, and numbered, so that none is taken for the new one's: `<flow>-earlier-1.json`.
4. Everything in it is relative, so the folder can be moved, zipped and mailed.

    index.html   report.json   proofs/<flow>/…   counterexamples/<flow>.json   counterexamples/test_<flow>.py   .siteproof-report
"""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from siteproof.conformance.report.pytest_file import pytest_name
from siteproof.model.errors import SiteproofError, UsageError, one_line

__all__ = ["CERTIFICATES", "MARKER", "PlaceError", "ReportFolder", "certificate_folder"]

MARKER = ".siteproof-report"
CERTIFICATES = ".siteproof-certificates"
FOUND = "counterexamples"
EARLIER = "-earlier-"


class PlaceError(SiteproofError):
    """Nothing can be written at a place that the user named: like a folder that is not there, it is an option to be mended."""

    exit_code = 4

    def __init__(self, option: str, place: Path, reason: str) -> None:
        super().__init__(option, place, reason)
        self.text = one_line(f"{option} {place}: cannot be written ({reason}); to mend: choose another place")

    def __str__(self) -> str:
        return self.text


@attrs.define
class ReportFolder:
    """A report while it is written: work in `draft`, then `publish`, or `discard`."""

    place: Path
    draft: Path
    option: str = "--report"
    kept: int = 0
    """Counterexamples of earlier reports that `publish` has kept."""

    @classmethod
    def begin(cls, place: Path, option: str = "--report") -> ReportFolder:
        """Start a report for `place`, which `option` named. Raises `UsageError` when something that is not ours is there,
        `PlaceError` when nothing can be."""
        place = place.absolute()
        _check_ours(place, option, MARKER, "an earlier report")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        except OSError as error:
            raise PlaceError(option, place, error.strerror or "no reason given") from None
        draft.chmod(0o755)
        (draft / MARKER).write_text("This folder is written by siteproof and replaced by its next report.\n", encoding="utf-8")
        for name in ("proofs", FOUND):
            (draft / name).mkdir()
        return cls(place, draft, option)

    def publish(self) -> Path:
        """Put the report in its place; answers the page's path."""
        _check_ours(self.place, self.option, MARKER, "an earlier report")
        if self.place.exists():
            self._keep()
            old = Path(tempfile.mkdtemp(prefix=f".{self.place.name}.old.", dir=self.place.parent))
            self.place.rename(old / "report")
            self.draft.rename(self.place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            self.draft.rename(self.place)
        return self.place / "index.html"

    def _keep(self) -> None:
        """Take the counterexamples of the old report, each with its test, into the new one."""
        old, new = self.place / FOUND, self.draft / FOUND
        for file in sorted(old.glob("*.json")):
            again = new / file.name
            if again.is_file() and filecmp.cmp(file, again, shallow=False):
                continue
            stem = file.stem
            if EARLIER not in stem:
                names = (f"{stem}{EARLIER}{number}" for number in itertools.count(1))
                stem = next(name for name in names if not any((at / f"{name}.json").exists() for at in (old, new)))
            shutil.copy2(file, new / f"{stem}.json")
            self.kept += 1
            test = old / pytest_name(file.stem)
            if test.is_file():
                shutil.copy2(test, new / pytest_name(stem))

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.draft, ignore_errors=True)


@contextlib.contextmanager
def certificate_folder(place: Path, option: str = "--certificates") -> Iterator[Path]:
    """A folder for certificates: new, empty, or one with earlier certificates. Nothing is left where none was written."""
    _check_ours(place, option, CERTIFICATES, "earlier certificates")
    made = not place.is_dir()
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / CERTIFICATES).write_text("This folder is written by siteproof prove --certificates.\n", encoding="utf-8")
    except OSError as error:
        raise PlaceError(option, place, error.strerror or "no reason given") from None
    try:
        yield place
    finally:
        if [one.name for one in place.iterdir()] == [CERTIFICATES]:
            (place / CERTIFICATES).unlink()
            if made:
                place.rmdir()


def _check_ours(place: Path, option: str, marker: str, earlier: str) -> None:
    expected = f"a new folder, or one with {earlier}"
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise UsageError(f"{option} {place}, which is not a folder", expected, "choose another place")
    try:
        foreign = place.is_dir() and any(place.iterdir()) and not (place / marker).is_file()
    except OSError as error:
        raise PlaceError(option, place, error.strerror or "no reason given") from None
    if foreign:
        raise UsageError(
            f"{option} {place}, a folder with files that are not siteproof's",
            expected,
            "choose another place, or empty it yourself",
        )
