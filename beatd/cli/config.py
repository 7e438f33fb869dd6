"""`beatd config show`: what beatd runs with, and who said so."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from beatd.cli.main import Common, common_options, output_option, print_json
from beatd.cli.show import table
from beatd.errors import BeatdError

if TYPE_CHECKING:
    from beatd.config.settings import Settings


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
    from beatd.config.broker import broker_text
    from beatd.config.settings import SETTINGS, Address, masked

    settings = common.settings(entries=False, **flags)
    rows = []
    for setting in SETTINGS:
        origin = settings.origins[setting.name]
        value = masked(setting, getattr(settings, setting.name))
        value = str(value) if isinstance(value, Address) else value
        row = {"setting": setting.name, "value": value, "source": origin.source, "place": origin.place}
        if setting.name == "redis" and value is None:
            row |= _private_server(settings)
        rows.append(row)
    if output == "json":
        print_json(rows)
        return
    for row in rows:
        row["value"] = broker_text(settings.broker) if row["setting"] == "broker" else _text(row["value"])
    shown = [(row["setting"], row["value"], row["source"], row["place"]) for row in rows]
    click.echo(table(("SETTING", "VALUE", "SOURCE", "PLACE"), shown))
    click.echo(f"files: {', '.join(str(file.path) for file in settings.files) or 'none'}", err=True)


def _text(value: object) -> object:
    if value == "auto":
        return "auto: text on a terminal, else json"
    if isinstance(value, int):
        from beatd.config.settings import size_text

        return size_text(value)
    return f"{value:g}s" if isinstance(value, float) else value


def _private_server(settings: "Settings") -> dict[str, str]:
    """What to say of Redis where none is configured: the private server, if it runs."""
    from beatd.core.masking import mask_url
    from beatd.store.embedded import find_running

    try:
        server = find_running(settings.folder)
    except BeatdError:  # beatd doctor tells
        return {}
    place = str(settings.folder / ".beatd")
    return {} if server is None else {"value": mask_url(server.url), "source": "private server", "place": place}
