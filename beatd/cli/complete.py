"""What a shell's TAB is answered with. All of it is quick, and silent when Redis is away."""

import itertools
import os
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

from beatd.core.listing import ASKED_STATES

if TYPE_CHECKING:
    from beatd.store.blocking import BlockingLink

    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # generic from click 8.4 on

TIMEOUT_S: Final = 0.5  # for connecting, and for each answer
PATIENCE_S: Final = 0.2  # for all of them
MOST_NAMES: Final = 200
SCANNED: Final = 2_000  # a millisecond or two of the server's time
_ARGUMENTS: Final = frozenset({"name", "names", "patterns", "words"})  # of commands, where an entry is named
_SPECIAL: Final = re.compile(r"([*?\[\]\\^])")  # in a pattern of Redis
_UNSAFE: Final = re.compile(r"([^\w@%+=:,./-])")  # in a word of a shell that is not quoted

_BASH: Final = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            plain,*) COMPREPLY+=("${line#plain,}") ;;
            dir,*) compopt -o dirnames 2>/dev/null ;;
            file,*) compopt -o default 2>/dev/null ;;
        esac
    done < <(%(complete_var)s=bash_complete COMP_LINE="${COMP_LINE:0:COMP_POINT}" "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""
_ZSH: Final = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local line
    local -a found
    for line in "${(@f)$(%(complete_var)s=zsh_complete COMP_LINE="${words[1,CURRENT]}" "$words[1]" 2>/dev/null)}"; do
        case $line in
            plain,*) found+=("${line#plain,}") ;;
            dir,*) _path_files -/ ;;
            file,*) _path_files -f ;;
        esac
    done
    (( $#found )) && compadd -U -V beatd -a found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH: Final = """\
function %(complete_func)s
    set -lx COMP_LINE (commandline -cp)
    set -lx %(complete_var)s fish_complete
    for line in (%(prog_name)s 2>/dev/null)
        set -l found (string split -m 1 , -- $line)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                echo $found[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Shell(ShellComplete):
    """Reads the line up to the cursor as it was typed, and answers a line for each word that may stand there."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        if not last_word(line):
            return words[1:], ""
        return words[1:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value}"


class Zsh(_Shell):
    name = "zsh"
    source_template = _ZSH


class Fish(_Shell):
    name = "fish"
    source_template = _FISH


class Bash(_Shell):
    """bash puts in what it is given as it is: it must be quoted, and begin where bash takes a word to begin."""

    name = "bash"
    source_template = _BASH

    def format_completion(self, item: CompletionItem[Any]) -> str:
        if item.type != "plain":
            return super().format_completion(item)
        return f"plain,{as_typed(str(item.value), last_word(os.environ.get('COMP_LINE', '')))}"


SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}
for _shell in SHELLS.values():
    add_completion_class(_shell)


def last_word(line: str) -> str:
    """What was typed of the last word, with its quotes; nothing behind a blank."""
    start, quote, escaped = 0, "", False
    for position, char in enumerate(line):
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            start = position + 1
    return line[start:]


def as_typed(value: str, typed: str) -> str:
    """A value in place of a word that was begun, as bash wants it: quoted as that is, and without what stands before
    the last ``:`` or ``=`` of it, where bash begins a word of its own.
    """
    _, equals, behind = typed.partition("=")
    if typed.startswith("--") and equals:  # the value of an option
        typed = behind
    if typed.startswith("'"):
        return value.replace("'", "'\\''")
    if typed.startswith('"'):
        return re.sub(r'([$`"\\])', r"\\\1", value)
    quoted = _UNSAFE.sub(r"\\\1", value)
    for _ in range(sum(map(typed.count, ":="))):
        quoted = re.sub(r"^[^:=]*[:=]", "", quoted)
    return quoted


class EntryName(_Type):
    """The name of a stored entry."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """The names that begin so, as many as are found in a moment."""
        given = set(_texts(ctx.params.get(param.name or "")))
        return [CompletionItem(name) for name in entry_names(ctx, incomplete) if name not in given]


class StateName(_Type):
    """States, with commas between."""

    name = "state"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """The states that the last of them may be."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{state}") for state in ASKED_STATES if state.startswith(last)]


class FieldName(_Type):
    """A field of an entry that has a default."""

    name = "field"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Those that begin so, but for those that were given."""
        from beatd.core.entry import ENTRY_KEYS
        from beatd.core.schedules.schedule import KINDS

        given = set(_texts(ctx.params.get(param.name or "")))
        fields = sorted(ENTRY_KEYS - {"owner", "signature", "task", *KINDS} - given)
        return [CompletionItem(name) for name in fields if name.startswith(incomplete)]


class OwnerName(_Type):
    """Who owns an entry."""

    name = "owner"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """The owners that there always are, and how that of an applied set begins."""
        return [CompletionItem(owner) for owner in ("api", "apply:*", "file") if owner.startswith(incomplete)]


class ZoneName(_Type):
    """A time zone."""

    name = "zone"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """The zones that begin so, whatever the case."""
        from beatd.core.zone import zone_data

        begun = incomplete.casefold()
        return [CompletionItem(name) for name in sorted(zone_data().names) if name.casefold().startswith(begun)]


def teach(command: click.Command) -> click.Command:
    """Tells a command's parameters what can be completed for them."""
    for param in command.params:
        if isinstance(param, click.Argument) and param.name in _ARGUMENTS:
            param.type = EntryName()
        elif param.name == "states":
            param.type = StateName()
        elif param.name == "unset":
            param.type = FieldName()
        elif param.name == "owners":
            param.type = OwnerName()
        elif param.name == "timezone":
            param.type = ZoneName()
        elif param.name in ("config", "files"):
            param.type = click.Path()
    return command


def entry_names(ctx: click.Context, begun: str) -> list[str]:
    """Sorted; what goes wrong leaves none."""
    try:
        return sorted(_found(ctx.params, begun, paused=ctx.info_name == "resume"))
    except Exception:  # noqa: BLE001  # a TAB must never print a trace
        return []


def _found(params: dict[str, Any], begun: str, *, paused: bool) -> Iterator[str]:
    from beatd.cli.main import Common
    from beatd.store.blocking import BlockingLink

    until = time.monotonic() + PATIENCE_S
    url, namespace = Common(params.get("config") or (), params.get("redis"), params.get("namespace")).place()
    with BlockingLink(url, namespace, TIMEOUT_S) as link:
        found = _paused(link, begun, until) if paused else (name for name, _ in _scan(link, "rev", begun, until))
        yield from itertools.islice(found, MOST_NAMES)


def _paused(link: "BlockingLink", begun: str, until: float) -> Iterator[str]:
    """Those paused for good, which are out of the timetable, and those paused for a while."""
    yield from (name for name, why in _scan(link, "out", begun, until) if b'"paused"' in why)
    yield from (name for name, _ in _scan(link, "hold", begun, until))


def _scan(link: "BlockingLink", kept: str, begun: str, until: float) -> Iterator[tuple[str, bytes]]:
    pattern = _SPECIAL.sub(r"\\\1", begun) + "*"
    cursor = b"0"
    while True:
        [(cursor, flat)] = link.request(("HSCAN", link.keys.key(kept), cursor, "MATCH", pattern, "COUNT", SCANNED))
        for raw, value in zip(flat[::2], flat[1::2], strict=True):
            name = raw.decode(errors="replace")
            if name.isprintable():
                yield name, value
        if cursor == b"0" or time.monotonic() > until:
            return


def _texts(value: Any) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
