"""The verbs and their help. Each one loads what it needs when it is called, and nothing before.

The bodies are in `proving`, `running`, `tracing`, `checking` and `listing`; here stand the arguments and what they mean.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from siteproof.conformance.cli.helping import finish, verbs
from siteproof.conformance.cli.shared import Session, shared, version
from siteproof.conformance.exits import Exit

__all__ = ["app"]

app = verbs(name="siteproof")
laboratory = verbs(help="The bundled implementation at work on disk images.")
trace = verbs(help="Recorded runs: judge one, or make one from a list of jobs.")
drivers_app = verbs(help="Connect a system of your own: a skeleton, what a driver lacks, the schema of the wire protocol.")
app.add_typer(laboratory, name="lab")
app.add_typer(trace, name="trace")
app.add_typer(drivers_app, name="driver")

Topologies = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TOPOLOGY", help="Built-in ids (siteproof list topologies) or TOML files; all built-in ones if none is given."
    ),
]
JUnit = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML. What is not known is an error there, never skipped.")
]
MaxTime = Annotated[str, typer.Option("--max-time", metavar="TIME", help="Time for each flow, such as 30s, 10m or 1h30m.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"siteproof {version()}")
        raise typer.Exit


@app.callback()
def siteproof(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Proofs and conformance tests for site-recovery replication.

    Start with [bold]siteproof check[/bold]: it proves the promises of every flow, runs the bundled implementation against the
    same model, and writes one report folder to open in a browser.
    """


@app.command(epilog="Example: siteproof check --report drill && open drill/index.html")
@shared
def check(
    session: Session,
    topologies: Topologies = None,
    image: Annotated[Path | None, typer.Option(metavar="PATH", help="A disk image to work on; it is opened read-only.")] = None,
    report: Annotated[Path, typer.Option(metavar="DIR", help="The report folder; an earlier report there is replaced.")] = Path(
        "siteproof-report"
    ),
    max_time: MaxTime = "25s",
    necessity: Annotated[
        bool, typer.Option("--necessity", help="Also drop each precondition of each action in turn; takes minutes.")
    ] = False,
    junit: JUnit = None,
) -> Exit:
    """Prove, run the bundled implementation, and write a report.

    For each flow: every promise is proved, each certificate is confirmed by two solvers, and a campaign holds the bundled
    implementation, on a real disk image, against the same model. --max-time is for the campaign.
    """
    from siteproof.conformance.cli import checking

    return checking.check(session, topologies or [], image, report, max_time, necessity, junit)


@app.command(epilog="Example: siteproof prove --what-if hyper-v-to-secondary-site:reverse.requires_commit=false")
@shared
def prove(
    session: Session,
    topologies: Topologies = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", metavar="ID", help="Only this promise (P1, P2, …); may be repeated.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="[FLOW:]PATH=VALUE",
            help="Change a fact, or a value of the deployment or policy; show the verdicts before and after. May be repeated.",
        ),
    ] = None,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Lay a part of a topology file over each flow; show the same. May be repeated."),
    ] = None,
    certificates: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write certificates here and have two solvers confirm them.")
    ] = None,
    necessity: Annotated[
        bool, typer.Option("--necessity", help="Instead, drop each precondition of each action in turn and show what breaks.")
    ] = False,
    traces: Annotated[bool, typer.Option("--traces", help="With --necessity: tell each trace.")] = False,
    learn: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --necessity: be patient, and add what was found (lemmas, runs) to FILE."),
    ] = None,
    max_time: MaxTime = "2m",
) -> Exit:
    """Prove the promises of a flow, or find the shortest way to break one.

    With --necessity, --max-time is for each level of each flow; what is open then is undetermined.
    """
    if necessity:
        from siteproof.conformance.cli import exploring
        from siteproof.model.errors import UsageError
        from siteproof.model.topology import parse_override

        if properties or certificates is not None:
            raise UsageError("--necessity with --property or --certificates", "one of them", "leave the others out")
        overrides = [parse_override(one) for one in what_if or []]
        return exploring.necessity(session, topologies or [], overrides, max_time, traces, learn)
    if traces or learn is not None:
        from siteproof.model.errors import UsageError

        raise UsageError("--traces or --learn without --necessity", "both", "add --necessity")
    from siteproof.conformance.cli import proving

    return proving.prove(session, topologies or [], properties or [], what_if or [], overlay or [], certificates, max_time)


@app.command(epilog="Example: siteproof diff vmware-to-azure mine.toml")
@shared
def diff(
    session: Session,
    first: Annotated[str, typer.Argument(metavar="A", help="A built-in id or a TOML file.")],
    second: Annotated[str, typer.Argument(metavar="B", help="What is held against it: another id or file.")],
    proofs: Annotated[bool, typer.Option("--proofs/--no-proofs", help="Prove both, and show which promises differ.")] = True,
    properties: Annotated[
        list[str] | None, typer.Option("--property", metavar="ID", help="Only this promise (P1, P2, …); may be repeated.")
    ] = None,
    max_time: MaxTime = "2m",
) -> Exit:
    """Compare two topologies: what is added, removed and changed, and which promises only one of them keeps.

    The exit code is 1 when B has a refuted promise that A keeps.
    """
    from siteproof.conformance.cli import diffing

    return diffing.diff(session, first, second, proofs, properties or [], max_time)


@app.command(epilog="Example: siteproof explore vmware-to-azure --failovers 2")
@shared
def explore(
    session: Session,
    topologies: Topologies = None,
    level: Annotated[
        list[str] | None, typer.Option("--level", metavar="L", help="Only this level of the model; may be repeated.")
    ] = None,
    writes: Annotated[int | None, typer.Option(min=0, metavar="K", help="The longest disk, in writes.")] = None,
    failovers: Annotated[int | None, typer.Option(min=0, metavar="N", help="How often the machine may change sides.")] = None,
    machines: Annotated[int, typer.Option(min=1, metavar="N", help="Machines side by side over one infrastructure.")] = 1,
    max_states: Annotated[int | None, typer.Option(min=1, metavar="N", help="The budget of states, for each level.")] = None,
    max_time: MaxTime = "2m",
    details: Annotated[
        bool, typer.Option("--details", help="Also how often each action is taken, and the ranking of jobs.")
    ] = False,
) -> Exit:
    """All states of a bounded scope: deadlocks, whether every job ends, and the way home.

    Without --writes and --failovers the scope is grown to the largest that stays within the budget. What is found is said of the
    scope; a scope that is cut off leaves it undetermined (exit code 2).
    """
    from siteproof.conformance.cli import exploring

    return exploring.explore(
        session, topologies or [], level or [], writes, failovers, machines, max_states, max_time, details
    )


@app.command(epilog="Example: siteproof certify siteproof-report/proofs")
@shared
def certify(
    session: Session,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A certificate, or a folder of certificates.")],
    whole: Annotated[
        bool, typer.Option("--whole", help="Demand every promise that applies in these flows (exit 2 if one is missing).")
    ] = False,
) -> Exit:
    """Check certificates again: all obligations derived anew and confirmed by z3 and cvc5. Promises that apply in a flow and
    that no certificate speaks of are told."""
    from siteproof.conformance.cli import proving

    return proving.certify(session, folder, whole)


@app.command(epilog="Example: siteproof run --driver bundled --topology vmware-to-azure --max-time 1m --out campaign")
@shared
def run(
    session: Session,
    driver: Annotated[
        str,
        typer.Option(
            metavar="D",
            help="The system under test: a name (siteproof list drivers), module:Class, 'stdio:COMMAND', or http://HOST:PORT.",
        ),
    ],
    topology: Annotated[
        list[str] | None, typer.Option(metavar="T", help="A flow to test; may be repeated. All built-in ones if none is given.")
    ] = None,
    max_time: MaxTime = "10m",
    engine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="E",
            help="How cases are chosen (siteproof list engines); may be repeated: the time is shared. Default: portfolio.",
        ),
    ] = None,
    max_cases: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N cases.")] = None,
    machines: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Machines in every case. A mix of scenarios if neither is given.")
    ] = None,
    disks: Annotated[int | None, typer.Option(min=1, metavar="N", help="Disks of every machine.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Local processes. Default: one for each processor with a built-in driver; one with your own, with --seed,"
            " --max-cases or --record.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Spread the cases over a dask.distributed cluster, by its scheduler's address."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the shortest way to every state here, and go on where earlier runs have stopped."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a report folder with counterexamples, and a pytest file for each. It replaces an earlier report there, "
            "whose counterexamples are kept.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every case as a trace (NDJSON) that `siteproof trace check` judges."),
    ] = None,
    junit: JUnit = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what happens while it happens, one JSON object a line.")
    ] = None,
) -> Exit:
    """Hold a system under test against the model, in a campaign of generated cases.

    Without --seed a fresh seed is drawn and printed; with it the same cases are drawn again, by one process.
    """
    from siteproof.conformance.cli import running
    from siteproof.conformance.cli.hands import Where

    kept = running.Kept(record, junit, events)
    where = Where(jobs, cluster, corpus)
    return running.run(session, driver, topology or [], max_time, engine or [], max_cases, out, machines, disks, kept, where)


@app.command(epilog="Example: siteproof replay siteproof-report/counterexamples/vmware-to-azure.json")
@shared
def replay(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A counterexample.")],
    driver: Annotated[
        str | None, typer.Option(metavar="D", help="Another system under test than the one it was found on.")
    ] = None,
) -> Exit:
    """Run a counterexample again, step by step: still failing, fails differently, fixed, or drifted.

    Exit code 1 when it fails, 0 when it is fixed, 2 when the system goes another way now, so that nothing is known.
    """
    from siteproof.conformance.cli import running

    return running.replay(session, file, driver)


@app.command(epilog="Example: siteproof explain siteproof-report/counterexamples/vmware-to-azure.json")
@shared
def explain(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A counterexample.")],
) -> Exit:
    """Tell a counterexample in words: what was done, what was seen, which promise it breaks and why."""
    from siteproof.conformance.cli import running

    return running.explain(session, file)


@trace.command("check", epilog="Example: siteproof trace check run.ndjson")
@shared
def trace_check(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A trace (docs/trace.md).")],
) -> Exit:
    """Judge a recorded run by the rules of its flow, with the oracle that judges live runs.

    What a trace does not tell is unknown, and not judged; how much that is, is told. Exit code 0: everything that was told is
    explained by the model; 1: something is not; 2: it cannot be said; 4: the file is no trace that this version reads.
    """
    from siteproof.conformance.cli import tracing

    return tracing.check(session, file)


@trace.command("import", epilog="Example: siteproof trace import jobs.json --topology vmware-to-azure --out drill.ndjson")
@shared
def trace_import(
    session: Session,
    jobs: Annotated[Path, typer.Argument(metavar="JOBS", help="An exported list of Site Recovery jobs (JSON).")],
    topology: Annotated[str, typer.Option(metavar="T", help="The flow of the machines: a built-in id or a TOML file.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The trace to write.")],
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=OPERATION", help="What a scenarioName stands for that we do not know; may be repeated."),
    ] = None,
) -> Exit:
    """Turn a list of Site Recovery jobs into a trace: a case for each machine, with what jobs can tell.

    Jobs of other kinds are passed over, counted and named.
    """
    from siteproof.conformance.cli import tracing

    return tracing.import_(session, jobs, topology, out, scenario or [])


class Listing(StrEnum):
    TOPOLOGIES = "topologies"
    PROPERTIES = "properties"
    REQUIREMENTS = "requirements"
    DRIVERS = "drivers"
    BUGS = "bugs"
    VARIANTS = "variants"
    ENGINES = "engines"


@app.command("list", epilog="Example: siteproof list properties")
@shared
def list_(
    session: Session,
    what: Annotated[Listing, typer.Argument(metavar="WHAT", help=f"What to list: {', '.join(Listing)}.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="TOPOLOGY", help="Only these topologies, built-in or your own.")
    ] = None,
    uncovered: Annotated[
        bool, typer.Option("--uncovered", help="Only requirements that nothing carries yet; exit code 2 if there are any.")
    ] = False,
) -> Exit:
    """List what there is: flows, promises, requirements with what carries them, drivers, engines, seeded bugs, variants."""
    from siteproof.conformance.cli import listing

    return listing.listing(session, what.value, names or [], uncovered)


@app.command(epilog="Example: siteproof selftest --quick")
@shared
def selftest(
    session: Session,
    quick: Annotated[
        bool, typer.Option("--quick", help="One trial of each bug that is not hard, in one of its flows; fits into CI.")
    ] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Trials of each bug and variant; 10 if not given.")
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(metavar="E", help="The engine to score; may be repeated. The default one if not given.")
    ] = None,
    bug: Annotated[
        list[str] | None,
        typer.Option(metavar="B", help="Only this bug (siteproof list bugs), and no variants; may be repeated."),
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option("--max-time", metavar="TIME", help="Processor time for each trial; 60s if not given, 20s with --quick."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, metavar="N", help="Processes side by side; as many as processors if not given.")
    ] = None,
) -> Exit:
    """The tester's own score: seeded bugs that it has to find, correct systems that it must not accuse.

    For each bug: was its code reached, did it make a difference, was it detected and blamed on the right promise; how soon; is
    the counterexample 1-minimal, does it replay, is it as short as can be. Exit code 0: all found and nobody accused; 1: a
    false alarm; 2: a survivor.
    """
    from siteproof.conformance.cli import selftesting

    return selftesting.selftest(session, quick, trials, engine or [], bug or [], max_time, jobs)


@app.command(epilog="Example: siteproof crash hyper-v-to-secondary-site")
@shared
def crash(
    session: Session,
    topologies: Topologies = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One restart for each crash point, of another kind each time; not all nine.")
    ] = False,
    pairs: Annotated[
        int,
        typer.Option(
            min=0, metavar="N",
            help="Also pairs: a second crash while the system recovers from the first. At most N of each history, spread evenly.",
        ),
    ] = 0,
    drawn: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Also N histories that are drawn (--seed), with faults, and N walks."),
    ] = 0,
    full_disk: Annotated[
        bool,
        typer.Option(
            "--full-disk", help="Also let each effect fail in turn, as on a full disk, and each read; with --quick a tenth."
        ),
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Local processes. Default: one for each processor.")
    ] = None,
) -> Exit:
    """Crash the bundled implementation after every durable effect of short histories, and see that nothing is lost.

    Each time the system starts again on what a crash leaves, with all sites or with one of them dark for a while, and is judged
    on content. All flows take some minutes; with --quick one or two.
    """
    from siteproof.conformance.cli import crashing

    return crashing.crash(session, topologies or [], quick, pairs, drawn, full_disk, jobs)


@laboratory.command("run", epilog="Example: siteproof lab run docs/scenarios/vmware-to-azure.toml")
@shared
def lab_run(
    session: Session,
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A TOML file: see docs/scenarios/README.md.")],
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep replicas, logs and points here, in a folder that is made; else nothing is kept."),
    ] = None,
) -> Exit:
    """Play a scenario: machines, workload, faults and operations on real disk images, told as it happens.

    Whenever another side becomes the machine, its disks are read back and compared with what must be there. The exit code is 0
    when everything is as it must be, else 1. Your own images are opened read-only. --seed replaces the scenario's.
    """
    from siteproof.conformance.cli import playing

    return playing.lab_run(session, scenario, work)


@app.command(epilog="Example: siteproof hrl play/lab/web/primary-disk0-000002.hrl")
@shared
def hrl(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A change log (.hrl).")],
    everything: Annotated[bool, typer.Option("--all", help="Show every write, not the first ones only.")] = False,
) -> Exit:
    """Show a change log: header, chain, writes, and the first bad byte with what it means.

    The exit code is 0 for a log that is whole and closed, 1 for a damaged one, and 2 for one that was never closed.
    """
    from siteproof.conformance.cli import logs

    return logs.hrl(session, file, everything)


@drivers_app.command("check", epilog="Example: siteproof driver check 'stdio:perl my_system.pl'")
@shared
def driver_check(
    session: Session,
    driver: Annotated[str, typer.Argument(metavar="DRIVER", help="module:Class, 'stdio:COMMAND', http://HOST:PORT, or a name.")],
    topology: Annotated[
        str | None, typer.Option(metavar="T", help="The flow; the first that the driver names if none is given.")
    ] = None,
) -> Exit:
    """Tell line by line what of a driver works, what is missing, what is wrong, and how to mend it.

    The exit code is 3 where the driver fails or answers what the interface does not have, 1 where the system behind it diverges
    from the model, and 2 where nothing is wrong but something is missing.
    """
    from siteproof.conformance.cli import drivers

    return drivers.check(session, driver, topology)


class Language(StrEnum):
    PYTHON = "python"
    PERL = "perl"


@drivers_app.command("new", epilog="Example: siteproof driver new my_system --language perl")
@shared
def driver_new(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the file and of the class in it.")],
    language: Annotated[
        Language, typer.Option(help="python: a class; perl: a program that speaks the wire protocol, one message a line.")
    ] = Language.PYTHON,
) -> Exit:
    """Write a driver that works, with a toy system behind it, to be replaced by your own. Nothing is overwritten."""
    from siteproof.conformance.cli import drivers

    return drivers.new(session, name, language.value)


@drivers_app.command("schema", epilog="Example: siteproof driver schema > driver.schema.json")
@shared
def driver_schema(session: Session) -> Exit:
    """Print the JSON schema of the wire protocol: every message, over standard input and output or HTTP."""
    from siteproof.conformance.cli import drivers

    return drivers.schema(session)


@app.command(epilog="Example: siteproof doctor")
@shared
def doctor(session: Session) -> Exit:
    """What is installed, which optional parts are missing, and what they would add."""
    from siteproof.conformance.cli import listing

    return listing.doctor(session)


finish(app, laboratory, trace, drivers_app)
