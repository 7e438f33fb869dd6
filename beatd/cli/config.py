"""`beatd config show`: what beatd runs with, and who said so."""

from collections.abc import Callable
from typing import Any

import click

from beatd.cli.main import Common, common_options, output_option, print_json
from beatd.cli.show import table


@click.group()
def config() -> None:
    """Look at the settings."""


def _all_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of `run` that are no flags of every command."""
    for flag in ("--log-format", "--log-level", "--http", "--lease-ttl", "--broker"):
        function = click.option(flag, help="As of run.")(function)
    return function


@config.command()
@common_options
@_all_flags
@output_option
def show(common: Common, output: str, **flags: str | None) -> None:
    """Show every setting, its value (secrets masked), and which of flag, env, file or default decided."""
    from beatd.config.settings import SETTINGS, masked

    settings = common.settings(entries=False, **flags)
    rows = []
    for setting in SETTINGS:
        origin = settings.origins[setting.name]
        value = masked(setting, getattr(settings, setting.name))
        value = str(value) if isinstance(value, tuple) else value
        rows.append({"setting": setting.name, "value": value, "source": origin.source, "place": origin.place})
    if output == "json":
        print_json(rows)
        return
    shown = [(row["setting"], _text(row["value"]), row["source"], row["place"]) for row in rows]
    click.echo(table(("SETTING", "VALUE", "SOURCE", "PLACE"), shown))
    click.echo(f"files: {', '.join(str(file.path) for file in settings.files) or 'none'}", err=True)


def _text(value: object) -> object:
    if value == "auto":
        return "auto: text on a terminal, else json"
    return f"{value:g}s" if isinstance(value, float) else value
