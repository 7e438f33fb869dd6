"""The `beatd` command and what all its commands share: where Redis is, and how errors end."""

import errno
import importlib
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from beatd import __version__
from beatd.cli.secrets import KNOWN, hide_command_line, learn_secrets
from beatd.errors import BeatdError, ConfigInvalid, ScheduleInvalid, Unreachable

if TYPE_CHECKING:  # imported when needed: a command loads only what it uses
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from beatd.config.settings import Settings

EDITS: Final = frozenset({"set", "rm", "pause", "resume", "reset", "trigger", "backfill", "apply"})
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
COMMANDS: Final = {
    "run": "beatd.cli.run:run",
    "ls": "beatd.cli.ls:ls",
    "show": "beatd.cli.show_entry:show",
    "set": "beatd.cli.edit:set_entry",
    "rm": "beatd.cli.edit:rm",
    "pause": "beatd.cli.pause:pause",
    "resume": "beatd.cli.pause:resume",
    "reset": "beatd.cli.pause:reset",
    "trigger": "beatd.cli.requests:trigger",
    "backfill": "beatd.cli.requests:backfill",
    "diff": "beatd.cli.apply:diff",
    "apply": "beatd.cli.apply:apply",
    "export": "beatd.cli.apply:export",
    "next": "beatd.cli.next:next_slots",
    "explain": "beatd.cli.explain:explain",
    "outbox": "beatd.cli.outbox:outbox",
    "history": "beatd.cli.history:history",
    "status": "beatd.cli.status:status",
    "doctor": "beatd.cli.doctor:doctor",
    "check": "beatd.cli.check:check",
    "config": "beatd.cli.config:config",
    "schema": "beatd.cli.schema:schema",
    "completion": "beatd.cli.completion:completion",
}


COMPLETING: Final = "_BEATD_COMPLETE"  # set by a shell that asks what could be typed next


class _Commands(click.Group):
    """Loads a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        if os.environ.get(COMPLETING):
            from beatd.cli.complete import teach

            return teach(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands with a line each, without loading one."""
        from beatd.cli.summaries import SUMMARIES

        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES.get(name, "")) for name in COMMANDS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        """Commands by name alone: what each does would need all of them."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command. That the reader of our output has left (`beatd ls | head`) is no error of ours, unless it
        left before an edit was made.
        """
        try:
            code = super().invoke(ctx)
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()
        except BrokenPipeError:
            _stop_writing()
            return 1 if ctx.invoked_subcommand in EDITS else 0
        except OSError as error:
            if error.errno not in FULL or error.filename is not None:
                raise
            _stop_writing()
            raise click.ClickException(f"the output can't be written: {error.strerror}") from error
        return code

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{_nearest(args[0])}")
        return super().resolve_command(ctx, args)


def _stop_writing() -> None:
    """Sends what is still to come nowhere: the interpreter would try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:  # click's form
    if asked and not ctx.resilient_parsing:
        from beatd.core.zone import data_version

        if folder := os.environ.get("BEATD_TZPATH"):
            _take_zone_data(folder)
        click.echo(f"beatd {__version__} (zone data {data_version() or 'of no known version'})")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_tell_version, help="Show versions."
)
def cli() -> None:
    """beatd puts periodic tasks on worker queues: exactly one enqueue per entry and slot.

    \b
    beatd check schedules.yaml      every problem of a file at once
    beatd run -c schedules.yaml     the daemon; more of them are standbys
    beatd ls                        entries with their next and last runs
    beatd next "0 9 * * mon-fri"    when a schedule, or an entry, will run
    beatd history nightly-report    what ran, what did not, and why
    beatd status                    who leads, and is all well
    beatd doctor                    what is wrong here, and how to mend it
    """
    if folder := os.environ.get("BEATD_TZPATH"):
        _take_zone_data(folder)


def _take_zone_data(folder: str) -> None:
    from pathlib import Path

    from beatd.core.zone import folder_data, use_zone_data

    try:
        use_zone_data(folder_data(Path(folder)))
    except (OSError, ScheduleInvalid) as error:
        raise ConfigInvalid(f"BEATD_TZPATH: {error}", hint="point it at a zoneinfo folder, or unset it") from error


def main() -> NoReturn:
    """Runs the command line and ends the process with the exit code of the command."""
    learn_secrets(sys.argv[1:], os.environ)
    hide_command_line()
    sys.excepthook = _show_defect
    try:
        if os.environ.get(COMPLETING):
            import beatd.cli.complete  # noqa: F401  # the shells it knows
        code = cli.main(prog_name="beatd", complete_var=COMPLETING, standalone_mode=False)
    except BeatdError as error:
        sys.exit(_tell(error))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        if _wants_json():
            message = error.format_message()
            _print_error({"error": "usage", "code": error.exit_code, "message": message, "hint": None})
        else:
            shown = io.StringIO()
            error.show(shown)
            click.echo(KNOWN.hide(shown.getvalue()), err=True, nl=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command takes."""

    config: tuple[str, ...]
    redis: str | None = field(repr=False)
    namespace: str | None

    def settings(self, *, entries: bool = True, **flags: str | None) -> "Settings":
        """Files, variables and flags, decided. Raises ConfigInvalid with every problem.

        ``entries`` False: the settings alone, whatever is wrong with entries; and where flags or variables say which
        Redis and namespace are meant, whatever is wrong with the files.
        """
        from beatd.config.problems import errors_of
        from beatd.config.settings import check_settings, load_settings

        given = self.flags(**flags)
        try:
            return learnt(load_settings(self.files(), given, os.environ, entries=entries))
        except ConfigInvalid as error:
            without, problems = check_settings([], given, os.environ, entries=False)
            if entries or without is None or errors_of(problems):
                raise  # what is wrong is not, or not only, in the files
            if "default" in (without.origins["redis"].source, without.origins["namespace"].source):
                error.hint = "with --redis and --namespace (or their variables) this command needs no files"
                raise
            text = "the files can't be read, and are not needed: Redis and namespace are given; beatd check tells more"
            click.echo(f"note: {text}", err=True)
            return learnt(without)

    def place(self) -> tuple[str, str]:
        """Where Redis is, and the namespace. No file is read where flags and variables say both.

        Raises ConfigInvalid with every problem, and Unreachable where no private server runs either.
        """
        from beatd.config.settings import named_place

        url, namespace = named_place(self.flags(), os.environ)
        KNOWN.learn(url)
        if url is not None and (namespace is not None or not self.files()):
            return url, namespace or "default"
        settings = self.settings(entries=False)
        return redis_url(settings), settings.namespace

    def files(self) -> "list[Path]":
        """The files that count."""
        from beatd.config.find import find_files

        return find_files(self.config, os.environ)

    def flags(self, **more: str | None) -> dict[str, str | None]:
        """The settings that were given as flags."""
        return {"redis": self.redis, "namespace": self.namespace, **more}


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """-c, --redis and --namespace, given to the command as one value `common`."""

    def wrapped(config: tuple[str, ...], redis: str | None, namespace: str | None, **rest: Any) -> Any:
        return function(common=Common(config, redis, namespace), **rest)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__dict__.update(function.__dict__)
    for option in (
        click.option("--namespace", help="Independent set of entries and lease [BEATD_NAMESPACE; default]."),
        click.option("--redis", metavar="URL", help="Redis that holds entries and lease [BEATD_REDIS_URL]."),
        click.option("-c", "--config", multiple=True, metavar="FILE", help="schedules.yaml; may be repeated."),
    ):
        wrapped = option(wrapped)
    return wrapped


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """-o table or json."""
    return output_options("table", "json")(function)


def output_options(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """-o with these kinds, the first of them by default."""
    text = f"{kinds[0]} (default), {' or '.join(kinds[1:])}."
    return click.option("-o", "--output", type=click.Choice(kinds), default=kinds[0], help=text)


def redis_url(settings: "Settings") -> str:
    """Where Redis is: configured, or the running private server. Commands never start one."""
    if settings.redis:
        return settings.redis
    from beatd.store.embedded import find_running

    server = find_running(settings.folder)
    if server is None:
        raise Unreachable(
            f"no Redis is configured, and no private server runs for {settings.folder}",
            hint="start the daemon (beatd run), or name a server: --redis redis://host:6379/0",
        )
    return server.url


def print_json(value: object) -> None:
    """Prints JSON that people can read too."""
    from beatd.cli.show import plain

    click.echo(plain(json.dumps(value, ensure_ascii=False, indent=2)))


def learnt(settings: "Settings") -> "Settings":
    """Itself, once what is secret in it is known: nothing that is printed will say it."""
    from beatd.config.settings import SETTINGS, secrets_of_setting

    for setting in SETTINGS:
        for secret in secrets_of_setting(setting, getattr(settings, setting.name)):
            KNOWN.learn(secret)
    return settings


def _show_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As Python does, without secrets."""
    import traceback

    click.echo(KNOWN.hide("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)


def _tell(error: BeatdError) -> int:
    if _wants_json():
        _print_error(error.fields())
    else:
        from beatd.cli.show import printable

        told = f"beatd: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else "")
        # What is stored may be quoted in it. Line by line: many problems are a list.
        click.echo("\n".join(map(printable, KNOWN.hide(told).split("\n"))), err=True)
    return error.exit_code


def _print_error(fields: Mapping[str, object]) -> None:
    click.echo(json.dumps(_hidden(fields), ensure_ascii=False), err=True)


def _hidden(value: object) -> object:
    """A value as it may be shown, in all its parts."""
    if isinstance(value, str):
        return KNOWN.hide(value)
    if isinstance(value, dict):
        return {key: _hidden(inner) for key, inner in value.items()}
    return [_hidden(inner) for inner in value] if isinstance(value, list) else value


def _wants_json() -> bool:
    words = sys.argv[1:]
    given = [
        word.removeprefix("-o").removeprefix("--output=") for word in words if word.startswith(("-o", "--output="))
    ]
    given += [after for before, after in itertools.pairwise(words) if before in ("-o", "--output")]
    return "json" in given or "ndjson" in given


def _nearest(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, COMMANDS, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(COMMANDS)}"
