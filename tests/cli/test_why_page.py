"""The page that answers why something did not run knows every reason, every check and every field."""

import re
from pathlib import Path
from typing import Any, get_args

from beatd.cli.history_rows import Printer
from beatd.core.fire import Reason
from beatd.core.history import Hindsight, Line
from beatd.core.zone import zone_named
from beatd.store.rights import LOOKS
from tests.support.servers import RedisServer

PAGE = (Path(__file__).parents[2] / "docs" / "why-did-it-not-run.md").read_text(encoding="utf-8")


def names_in(title: str) -> list[str]:
    """The first cell of each row of the table below a head."""
    table = PAGE.split(f"| {title} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)


def test_every_reason_has_a_row() -> None:
    assert sorted(names_in("reason")) == sorted(get_args(Reason))


def test_every_check_has_a_row(beatd: Any, clean_redis: RedisServer) -> None:
    told = {finding["check"] for finding in beatd("doctor", "--redis", clean_redis.url, "-o", "json").json["findings"]}
    assert told <= set(names_in("check"))
    # Told only when something is the matter, or Sentinels are asked.
    assert set(names_in("check")) - told == {"redis", "server", "sentinels", "replicas"}


def test_every_field_of_a_row_is_named(capsys: Any) -> None:
    printer = Printer("ndjson", "default", zone_named("UTC"), None, named=True)
    printer.print([Line("fired", 5, "a", 1, 1)], lambda names: {}, Hindsight())
    fields = re.findall(r'"([a-z_]+)":', capsys.readouterr().out)
    assert " ".join(fields) in " ".join(PAGE.split())


def test_the_rights_that_only_these_commands_use_are_named() -> None:
    assert set(re.findall(r"\+([a-z|]+)", PAGE)) == set(LOOKS)
