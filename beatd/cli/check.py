"""`beatd check`: every problem of the files at once, before they count."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from beatd.cli.main import output_option, print_json
from beatd.errors import ConfigInvalid

if TYPE_CHECKING:
    from beatd.config.problems import Problem
    from beatd.config.settings import Settings


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@output_option
@click.option("--strict", is_flag=True, help="End with 1 where there are warnings.")
def check(files: tuple[str, ...], output: str, *, strict: bool) -> int:
    """Check schedules.yaml: every problem with file, line, column and what to do. Talks to no server.

    Without FILE: the files that `run` would find. - is standard input.

    \b
    0  good, perhaps with warnings
    1  warnings, and --strict
    3  errors
    """
    from beatd.config.find import find_files
    from beatd.config.problems import errors_of
    from beatd.config.settings import check_settings

    paths = [Path(name) for name in files] or find_files((), os.environ)
    if not paths:
        raise ConfigInvalid(
            "there is no file to check: neither ./schedules.yaml nor /etc/beatd/schedules.yaml",
            hint="beatd check FILE, or - for standard input",
        )
    settings, problems = check_settings(paths, {}, os.environ)
    if output == "json":
        print_json([problem.to_json() for problem in problems])
    else:
        _print(problems, settings)
    if errors_of(problems):
        return 3
    return 1 if strict and problems else 0


def _print(problems: "Sequence[Problem]", settings: "Settings | None") -> None:
    """Problems on stdout, where an editor reads them; what was checked on stderr."""
    from beatd.config.problems import counted, errors_of, report

    if problems:
        click.echo(report(problems))
    if settings is not None and not errors_of(problems):
        names = ", ".join(file.name for file in settings.files)
        found = f" ({counted(problems)})" if problems else ""
        number = len(settings.entries)
        click.echo(f"beatd: {names}: {number} {'entry' if number == 1 else 'entries'}, good{found}", err=True)
