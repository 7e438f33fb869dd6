"""`beatd schema`: schedules.yaml for editors."""

import click

from beatd.cli.main import print_json


@click.command()
def schema() -> None:
    """Print the JSON Schema of schedules.yaml, which editors complete and check by.

    \b
    beatd schema > beatd.schema.json
    # yaml-language-server: $schema=./beatd.schema.json     (the first line of schedules.yaml)
    """
    from beatd.config.json_schema import json_schema

    print_json(json_schema())
