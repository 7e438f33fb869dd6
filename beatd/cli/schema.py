"""`beatd schema`: schedules.yaml for editors, and the scripts for clients in other languages."""

from typing import Final

import click

from beatd.cli.main import print_json

EDITS: Final = ("put", "remove", "pause", "resume", "reset", "request")  # what any client may call


@click.command()
@click.option("--script", type=click.Choice(EDITS), help="Instead, the Lua text with which any client makes this edit.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Of a script: text (default), or json with its SHA and keys.",
)
def schema(script: str | None, output: str) -> None:
    """Print the JSON Schema of schedules.yaml, which editors complete and check by.

    \b
    beatd schema > beatd.schema.json
    # yaml-language-server: $schema=./beatd.schema.json     (the first line of schedules.yaml)
    beatd schema --script put > put.lua     to write entries from another language
    """
    if script is not None:
        _print_script(script, output)
        return
    from beatd.config.json_schema import json_schema

    print_json(json_schema())


def _print_script(name: str, output: str) -> None:
    """The text to the byte, for its SHA is that of what is sent; what it is called with goes to stderr."""
    from beatd.store.keys import FORMAT
    from beatd.store.scripts import load_script

    script = load_script(name)
    if output == "json":
        told = {"name": name, "format": FORMAT, "sha": script.sha, "keys": list(script.keys)}
        print_json({**told, "contract": script.contract, "text": script.plain})
        return
    click.echo(script.plain, nl=False)
    told_apart = [
        f"{name}, format {FORMAT}, SHA-1 {script.sha}",
        f"KEYS  {', '.join(script.keys)}",
        "",
        script.contract,
    ]
    click.echo("\n".join(told_apart), err=True)
