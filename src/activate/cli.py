"""The command line: what can be typed, and how a command ends.

Nothing heavy is imported here: `dbt-activate --help` has to answer at once. What the verbs do is in `commands`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from activate import __version__
from activate.errors import ActivateError, RulesError, UsageError, nearest

PROGRAM = "dbt-activate"
USAGE_ERROR = UsageError.exit_code
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 141

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "an unexpected error (--verbose shows the traceback)",
    2: "mistakes in the rules, or in the dbt models they name",
    3: "the project, the dbt profile, the manifest, a secret, or a name on the command line is missing or wrong",
    4: "another run holds the lease; try again when it has ended",
    5: "the warehouse refused a statement or cannot be reached; nothing was recorded",
    6: "`--now` lies before a tick, or a sync of an audience, that is already recorded",
    7: "a provider or a destination could not be used; what is meant for it waits",
    8: "`apply`: what would be done is not what was planned any more; nothing was done",
    USAGE_ERROR: "the command was typed wrongly",
    INTERRUPTED: "interrupted (Ctrl-C)",
    TERMINATED: "asked to stop (SIGTERM): what was under way is finished and recorded, the rest waits",
    PIPE_CLOSED: "whoever read the output stopped reading",
}

DESCRIPTION = "Turns dbt models and rules into decided, explained and delivered messages."


class Terminated(BaseException):
    """We were asked to stop (SIGTERM). Not an Exception, so that nothing takes it for a failure and goes on."""


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving, so that a mistake in the command is told like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{self._nearest(message)} (see {self.prog} --help)")

    def _nearest(self, message: str) -> str:
        wrong = re.search(r"unrecognized arguments: (\S+)|invalid choice: '([^']*)'", message)
        if not wrong:
            return ""
        if not wrong[1]:
            return nearest(wrong[2], (verb.name for verb in VERBS))
        others = [name for name, child in _children(self) if wrong[1] in _options_of(child)]
        return f"; it goes with {', '.join(others)}" if others else nearest(wrong[1], _options_of(self))


def _children(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The verbs of the parser."""
    for action in parser._actions:  # argparse offers no other way to ask
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _options_of(parser: argparse.ArgumentParser) -> list[str]:
    """Every option of the parser and of its verbs."""
    found = [option for action in parser._actions for option in action.option_strings]
    for _, child in _children(parser):
        found += _options_of(child)
    return found


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the table of exit codes as it is, and puts every verb on one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20, width=100)

    def add_argument(self, action: argparse.Action) -> None:
        """As argparse, which forgets that verbs are indented once more when it looks for the longest."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


@dataclass(frozen=True)
class Verb:
    """One verb: its line in the help, the function that adds its own arguments, and which common ones it takes."""

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    has_json: bool = True
    where: tuple[str, ...] = ("project-dir", "profiles-dir", "profile", "target", "vars")
    waits: bool = True
    has_progress: bool = False


def _instant(text: str) -> dt.datetime:
    from activate.words import parse_instant  # noqa: PLC0415  # pydantic, only where an instant is typed

    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _positive(text: str) -> int:
    if (value := _count(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _now(parser: argparse.ArgumentParser, verb: str = "decide") -> None:
    parser.add_argument(
        "--now", type=_instant, metavar="T", help=f"{verb} as at this instant, e.g. 2026-03-29T10:00:00Z (default: now)"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    _now(parser)
    parser.add_argument(
        "--no-deliver", action="store_true", help="decide only; `deliver` hands the messages over later"
    )
    parser.add_argument("--no-sync", action="store_true", help="leave the audiences to `sync`")
    _provider(parser)
    _time_limit(parser)


def _plan(parser: argparse.ArgumentParser) -> None:
    _now(parser)
    parser.add_argument("--out", metavar="FILE", help="write the plan into a file that `apply` takes")
    parser.add_argument("--sql", action="store_true", help="print the SQL of the tick")
    parser.add_argument(
        "--samples", type=_count, default=3, metavar="N", help="people to name for each outcome (default: 3)"
    )


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", metavar="PERSON", help="the person's key in the profiles model")
    parser.add_argument("--campaign", metavar="C", help="this campaign only, with a look at what has not entered it")


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be added")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=_positive, default=3, metavar="N", help="days to replay (default: 3)")
    parser.add_argument(
        "--every-hours", type=int, choices=(1, 2, 3, 4, 6, 8, 12, 24), default=2, metavar="H",
        help="hours from one tick to the next: 1, 2, 3, 4, 6, 8, 12 or 24 (default: 2)",
    )  # fmt: skip
    parser.add_argument("--people", type=_positive, default=5000, metavar="N", help="people to make up (default: 5000)")
    parser.add_argument(
        "--seed", type=_count, default=7, metavar="N", help="another seed makes another shop (default: 7)"
    )


def _schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="`activate`, `campaign`, `audience` or `request` (default: all)"
    )
    parser.add_argument("--out", metavar="DIR", help="write NAME.schema.json files into this directory")


def _preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("campaign", metavar="CAMPAIGN", help="the campaign's name")
    parser.add_argument("person", metavar="PERSON", help="the person's key in the profiles model")
    parser.add_argument("--step", type=_positive, default=1, metavar="N", help="the step (default: 1)")
    parser.add_argument("--channel", metavar="C", help="the channel (default: the first that reaches the person)")
    parser.add_argument("--variant", metavar="V", help="the variant (default: the person's own)")


def _share(text: str) -> float:
    from activate.words import parse_share  # noqa: PLC0415  # pydantic, only where a share is typed

    try:
        return parse_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _duration(text: str) -> int:
    from activate.words import parse_duration  # noqa: PLC0415  # pydantic, only where a duration is typed

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", help="the file that `plan --out` wrote")
    parser.add_argument(
        "--tolerance",
        type=_share,
        default=0.05,
        metavar="P",
        help="how far each figure may be off, e.g. 5%% (the default)",
    )
    parser.add_argument(
        "--max-age", type=_duration, default=3600, metavar="D", help="refuse an older plan (default: '1 hour')"
    )


def _audience(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--audience", action="append", metavar="A", help="this audience only (can be given several times)"
    )


def _sync(parser: argparse.ArgumentParser) -> None:
    _now(parser)
    _audience(parser)
    parser.add_argument(
        "--schedule", metavar="WORD", help="the audiences with this schedule (default: those without one)"
    )
    _time_limit(parser)
    parser.add_argument("--full", action="store_true", help="send every member again, and reconcile removals")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    parser.add_argument(
        "--samples", type=_count, default=3, metavar="N", help="people to name for each change (default: 3)"
    )


def _approve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="audience:NAME or campaign:NAME")
    _now(parser, "approve")
    for kind, text in (
        ("added", "additions"), ("updated", "updates"), ("removed", "removals"),
        ("suppressed", "removals because of an exclusion or a consent"), ("messages", "messages of the campaign"),
        ("stale", "changes though a source is stale"), ("untested", "changes though a dbt test fails"),
    ):  # fmt: skip
        parser.add_argument(f"--{kind}", type=_count, metavar="N", help=f"let up to N {text} pass")
    parser.add_argument("--resume", action="store_true", help="take an audience off the hold that `undo` put it on")
    parser.add_argument(
        "--for",
        dest="lasting",
        type=_duration,
        default=86_400,
        metavar="D",
        help="how long it holds (default: '24 hours')",
    )
    parser.add_argument("--by", metavar="WHO", help="who gives leave (default: you)")


def _retry(parser: argparse.ArgumentParser) -> None:
    _now(parser, "release")
    _audience(parser)
    parser.add_argument(
        "--where", metavar="SQL",
        help="a condition over audience, destination, user_id, member, change, error_code, recorded_at",
    )  # fmt: skip


def _reconcile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("audience", metavar="AUDIENCE", help="the audience's name")
    _now(parser, "record")
    parser.add_argument("--dry-run", action="store_true", help="only tell the differences")


def _undo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_id",
        metavar="RUN",
        help="the run id of a sync (`status --json` shows each audience's last, the table audience_syncs all)",
    )
    _now(parser, "record")
    parser.add_argument("--apply", action="store_true", help="send it, and put the audience on hold")
    parser.add_argument(
        "--without-updates",
        action="store_true",
        help="with --apply: leave the run's updates, which cannot be undone, and undo the rest",
    )


def _exposures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="write models/activate_exposures.yml instead of printing")


def _provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider", action="append", metavar="P", help="deliver for this provider only (can be given several times)"
    )


def _time_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-limit", type=_duration, metavar="D",
        help="begin nothing more to hand over after, e.g., '30 minutes' (default: delivery.time_limit)",
    )  # fmt: skip


def _deliver(parser: argparse.ArgumentParser) -> None:
    _provider(parser)
    _time_limit(parser)
    parser.add_argument(
        "--now", type=_instant, metavar="T", help="judge expiries as at this instant (default: the clock, as it moves)"
    )


def _ingest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="a section of `ingest:` in rules/activate.yml")
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="captured requests, one JSON document a line; a folder or s3:// stands for all its files, `-` for standard input",
    )
    parser.add_argument(
        "--unsigned", action="store_true", help="do not verify signatures; files may be the provider's own JSON or Avro"
    )
    parser.add_argument("--spool", action="store_true", help="load what the listener has taken")
    parser.add_argument("--listen", metavar="HOST:PORT", help="receive events and unsubscriptions over HTTP")
    parser.add_argument(
        "--threads", type=_positive, default=8, metavar="N", help="with --listen: requests at once (default: 8)"
    )


def _request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the request, e.g. rules/requests/loyal_customers.yml")
    parser.add_argument("--dry-run", action="store_true", help="print the model's files instead of writing them")
    parser.add_argument("--force", action="store_true", help="overwrite files that `request` did not make")
    parser.add_argument(
        "--allow-unseen", action="store_true", help="take events and JSON keys that were never seen, with a warning"
    )
    parser.add_argument(
        "--now", type=_instant, metavar="T", help="count as at this instant, e.g. 2026-03-29T10:00:00Z (default: now)"
    )


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen here (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=_count, default=8080, metavar="N", help="the port (default: 8080; 0: a free one)"
    )
    parser.add_argument(
        "--origin", action="append", metavar="URL",
        help="a web origin whose pages may ask, e.g. https://shop.example.com (can be given several times)",
    )  # fmt: skip
    parser.add_argument("--provider", metavar="P", help="the feed, where rules/activate.yml has several")
    parser.add_argument(
        "--threads", type=_positive, default=4, metavar="N", help="requests answered at once (default: 4)"
    )
    parser.add_argument(
        "--max-stale", type=_duration, default=900, metavar="D",
        help="how long to answer from the last copy while another process holds a DuckDB file (default: '15 minutes')",
    )  # fmt: skip


def _feed_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", metavar="PERSON", help="the person's key in the profiles model")
    parser.add_argument(
        "--for", dest="lasting", type=_duration, default=86_400, metavar="D",
        help="how long it holds, 31 days at most (default: '24 hours')",
    )  # fmt: skip
    parser.add_argument(
        "--channel", action="append", metavar="C", help="this channel only (can be given several times)"
    )


def _nothing(_: argparse.ArgumentParser) -> None:
    """The verb has no arguments of its own."""


_PLACE = ("project-dir", "profiles-dir", "target")
VERBS: tuple[Verb, ...] = (
    Verb("run", "decide for everybody who is due, and deliver", _run, has_progress=True),
    Verb("plan", "show what `run` would decide, without writing or sending", _plan, has_progress=True),
    Verb("apply", "do what a plan in a file says, if it still holds", _apply, has_progress=True),
    Verb("sync", "bring the audiences' destinations up to date", _sync, has_progress=True),
    Verb("status", "show the last runs, open entries, the outbox and the providers", _nothing),
    Verb("explain", "tell why a person got a message, or did not", _explain),
    Verb("preview", "render a campaign's message for one person, without sending", _preview),
    Verb("request", "turn a request for a segment into a dbt model, and count who fits", _request),
    Verb("lint", "check the rules against themselves and the dbt models", _nothing),
    Verb("init", "add what Activate needs to a dbt project", _init, waits=False),
    Verb("demo", "make up a shop, build it, replay some days, deliver to files", _demo, False, _PLACE, False),
    Verb("deliver", "hand over what waits in the outbox (for operators)", _deliver, has_progress=True),
    Verb("ingest", "load what providers tell: opens, clicks, bounces, opt-outs", _ingest),
    Verb("approve", "let what a guard withholds pass, once and up to a ceiling", _approve),
    Verb("retry", "let changes that a destination refused be sent again", _retry),
    Verb("reconcile", "read a destination's members back, and mend the difference", _reconcile),
    Verb("undo", "send the inverse of a sync", _undo),
    Verb("serve", "answer the apps that pull their in-app messages and cards", _serve, False, waits=False),
    Verb("feed-token", "make a token that lets a person read their feed", _feed_token, True, (), False),
    Verb("migrate", "make or update the state tables (`run` does it by itself)", _nothing),
    Verb("exposures", "print dbt exposures of the campaigns", _exposures, False, waits=False),
    Verb("schema", "print the JSON Schemas of the rules files, for editors", _schema, False, (), False),
)

_WHERE: dict[str, tuple[str, str]] = {
    "project-dir": ("DIR", "the dbt project (default: here or above)"),
    "profiles-dir": ("DIR", "where profiles.yml is"),
    "profile": ("NAME", "the profile (default: the project's)"),
    "target": ("NAME", "the target (default: the profile's)"),
    "vars": ("YAML", "variables for profiles.yml and dbt_project.yml"),
}


def _common(parser: argparse.ArgumentParser, verb: Verb) -> None:
    if verb.has_json:
        parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    if verb.where:
        where = parser.add_argument_group("where (as in dbt)")
        for name in verb.where:
            metavar, text = _WHERE[name]
            short = ("-t",) if name == "target" else ()
            where.add_argument(f"--{name}", *short, metavar=metavar, help=text)
    how = parser.add_argument_group("how")
    if verb.waits:
        how.add_argument(
            "--wait", type=_count, default=30, metavar="SECONDS", help="wait for another run to end (default: 30)"
        )
    if verb.has_progress:
        how.add_argument("--quiet", "-q", action="store_true", help="no progress on stderr")
    how.add_argument("--verbose", "-v", action="store_true", help="log to stderr, and show tracebacks")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, as argparse knows it."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = _Parser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=f"exit codes:\n{codes}",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", parser_class=_Parser)
    for verb in VERBS:
        text = f"{verb.summary[0].upper()}{verb.summary[1:]}."
        child = verbs.add_parser(verb.name, help=verb.summary, description=text, allow_abbrev=False)
        verb.arguments(child)
        _common(child, verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Every error is told in one place, as text or as JSON."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json, verbose = "--json" in words, "--verbose" in words or "-v" in words
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without UTF-8 shows `?`
    try:
        with _stopping():
            code = _dispatch(words, own_process=argv is None)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Python flushes stdout once more at exit, and would complain; so nothing is left to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not break into the ending
        return _tell(as_json, "KeyboardInterrupt", "interrupted; what was not recorded is not done", INTERRUPTED)
    except Terminated:
        told = "asked to stop; what was under way is finished and recorded, the rest waits"
        return _tell(as_json, "Terminated", told, TERMINATED)
    except ActivateError as error:
        if verbose and not isinstance(error, UsageError):
            _traceback()
        return _tell(as_json, type(error).__name__, str(error), error.exit_code, error)
    except Exception as error:  # the last resort: one line, since the text of a stranger's error may hold anything
        if verbose:
            _traceback()
        hint = "" if verbose else "; run again with --verbose for the traceback"
        return _tell(as_json, type(error).__name__, f"unexpected {type(error).__name__} {_place(error)}{hint}", 1)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """Let SIGTERM end what is being done as Ctrl-C does: a scheduler that stops us gives some seconds to put things in order."""

    def stop(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break into the ending
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _dispatch(words: list[str], own_process: bool) -> int:
    parser = build_parser()
    args = parser.parse_args(words)
    if args.version:
        print(f"{PROGRAM} {__version__}")
        return 0
    if args.verb is None:
        parser.print_help()
        return 0
    from activate import commands, opening  # noqa: PLC0415  # everything heavy hangs on this

    if own_process:
        opening.do_without_pandas()
    return commands.execute(args)


def _tell(as_json: bool, kind: str, message: str, code: int, error: Exception | None = None) -> int:
    """Tell an error: as text on stderr or, with `--json`, as the one document on stdout."""
    if not as_json:
        print(f"{PROGRAM}: {message}", file=sys.stderr)
        return code
    told: dict[str, object] = {"type": kind, "message": message, "exit_code": code}
    if isinstance(error, RulesError):
        told["mistakes"] = [vars(mistake) for mistake in error.mistakes]
    print(json.dumps({"error": told}, indent=2, ensure_ascii=False))
    return code


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "from nowhere"
    path = trace.tb_frame.f_code.co_filename.replace("\\", "/").split("/")
    return f"in {'/'.join(path[-2:])}:{trace.tb_lineno}"


def _traceback() -> None:
    import traceback  # noqa: PLC0415  # only for --verbose

    traceback.print_exc()
