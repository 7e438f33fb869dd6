"""The body of a message, ``[args, kwargs, {callbacks, errbacks, chain, chord}]``, as each serializer writes it."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from beatd.errors import EntryInvalid
from beatd.formats._holes import Fire, filled, with_holes
from beatd.formats._saferepr import LONGEST, saferepr

ENCODER: Final = json.JSONEncoder(allow_nan=False)
# The end of every plain body, in base64 after 0, 1 or 2 bytes of it: these fill up what stands before to whole groups
# of 3. A body that was written as a whole needs none.
_END: Final = b', {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
WHOLE: Final = "3"
ENDS: Final[Mapping[str, str]] = {
    **{str(taken): base64.b64encode(_END[taken:]).decode() for taken in range(3)},
    WHOLE: "",
}
NO_EMBED: Final[Mapping[str, Any]] = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
_PLAIN_HINT: Final = "plain JSON values are accepted, without NaN and Infinity"
_CUT: Final = LONGEST - 128  # texts that come near it may be cut at another word, and so grow
_GROWTH: Final = 2 * 12 * LONGEST  # two texts, and what one letter takes at most in JSON


class Serializer(NamedTuple):
    """One way to write a body: what it is called in the message, and the function."""

    content_type: str
    content_encoding: str
    dump: Callable[[Any], bytes]


class Compression(NamedTuple):
    """One way to make a body smaller."""

    content_type: str
    compress: Callable[[bytes], bytes]


def _json_bytes(value: Any) -> bytes:
    return ENCODER.encode(value).encode()


# Imported where they are used: few entries need them, every command pays for what is imported.
def _yaml_bytes(value: Any) -> bytes:
    return cast(str, import_module("yaml").safe_dump(value)).encode()


def _msgpack_bytes(value: Any) -> bytes:
    return cast(bytes, import_module("msgpack").packb(value, use_bin_type=True))


def _zipped(data: bytes) -> bytes:
    return cast(bytes, import_module("zlib").compress(data))


def _bzipped(data: bytes) -> bytes:
    return cast(bytes, import_module("bz2").compress(data))


def _lzmaed(data: bytes) -> bytes:
    return cast(bytes, import_module("lzma").compress(data))


JSON: Final = Serializer("application/json", "utf-8", _json_bytes)
SERIALIZERS: Final[Mapping[str, Serializer]] = {
    "json": JSON,
    "yaml": Serializer("application/x-yaml", "utf-8", _yaml_bytes),
    "msgpack": Serializer("application/x-msgpack", "binary", _msgpack_bytes),
}
_GZIP: Final = Compression("application/x-gzip", _zipped)
_BZ2: Final = Compression("application/x-bz2", _bzipped)
_LZMA: Final = Compression("application/x-lzma", _lzmaed)
# kombu's names and aliases, of what every Python has.
COMPRESSIONS: Final[Mapping[str, Compression]] = {
    **dict.fromkeys(("zlib", "gzip", _GZIP.content_type), _GZIP),
    **dict.fromkeys(("bzip2", "bzip", _BZ2.content_type), _BZ2),
    **dict.fromkeys(("lzma", "xz", _LZMA.content_type), _LZMA),
}
_EXPANDERS: Final[Mapping[str, str]] = {
    _GZIP.content_type: "zlib",
    _BZ2.content_type: "bz2",
    _LZMA.content_type: "lzma",
}


@dataclass(frozen=True, slots=True)
class Body:
    """How the bodies of one template are made. ``call``: args and kwargs of a signature, in place of the entry's.

    ``moving``: it differs from fire to fire whatever the arguments are. shown_args, shown_kwargs: what workers log in
    place of the arguments.
    """

    serializer: Serializer = JSON
    compression: Compression | None = None
    embed: Mapping[str, Any] = field(default_factory=lambda: NO_EMBED)
    call: tuple[Sequence[Any], Mapping[str, Any]] | None = None
    shown_args: str | None = None
    shown_kwargs: str | None = None
    plain: bool = True
    moving: bool = False

    def content(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """The body up to its end, which end it is, and the texts that workers log: three lines.

        None where they differ from fire to fire. Raises EntryInvalid naming args or kwargs that can't be said.
        """
        if self.plain:
            return _content(args, kwargs) if args or kwargs else NOTHING
        if self.call is not None and (args or kwargs):
            key = "args" if args else "kwargs"
            raise EntryInvalid(
                f"{key}: this entry's stand in its signature", hint="a copy of the entry may have others"
            )
        if self.moving or _has_holes(args, kwargs):
            return None
        return self._whole(*(self.call or (args, kwargs)), self.embed)

    def content_at(self, args: Sequence[Any], kwargs: Mapping[str, Any], fire: Fire) -> str:
        """As ``content``, of one fire."""
        return self._whole(*self._filled(args, kwargs, fire))

    def most(self, args: Sequence[Any], kwargs: Mapping[str, Any], widest: Fire) -> int:
        """No ``content_at`` has more letters, where no fire has longer texts than the widest one."""
        args, kwargs, embed = self._filled(args, kwargs, widest)
        size = len(self._dumped(args, kwargs, embed))
        if self.serializer is not JSON:
            size += 64 + size // 8  # where YAML breaks lines depends on what is in them
        if self.compression is not None:
            size += 1_024 + size // 64  # what can't be compressed grows
        shown = self._shown(args, kwargs)
        return size // 3 * 4 + 16 + len(shown) + (_GROWTH if len(shown) > _CUT else 0)

    def _filled(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], fire: Fire
    ) -> tuple[Sequence[Any], Mapping[str, Any], Mapping[str, Any]]:
        args, kwargs = self.call or (with_holes("args", args), with_holes("kwargs", kwargs))
        return filled(args, fire), filled(kwargs, fire), filled(self.embed, fire)

    def _whole(self, args: Sequence[Any], kwargs: Mapping[str, Any], embed: Mapping[str, Any]) -> str:
        data = self._dumped(args, kwargs, embed)
        if self.compression is not None:
            data = self.compression.compress(data)
        return f"{base64.b64encode(data).decode()}\n{WHOLE}\n{self._shown(args, kwargs)}"

    def _dumped(self, args: Sequence[Any], kwargs: Mapping[str, Any], embed: Mapping[str, Any]) -> bytes:
        try:
            return self.serializer.dump((args, kwargs, embed))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            json_text(args, "args")
            json_text(kwargs, "kwargs")
            raise EntryInvalid(f"{self.serializer.content_type} can't hold args or kwargs: {error}") from error

    def _shown(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        shown_args = _shown_args(args) if self.shown_args is None else self.shown_args
        shown_kwargs = saferepr(kwargs) if self.shown_kwargs is None else self.shown_kwargs
        return f'{ENCODER.encode(shown_args)}, "kwargsrepr": {ENCODER.encode(shown_kwargs)}'


def readable(message: Mapping[str, Any]) -> Any:
    """The body of a decoded message of ours, for people: decompressed and decoded."""
    data = base64.b64decode(message["body"])
    packed_by = message["headers"].get("compression")
    data = data if packed_by is None else import_module(_EXPANDERS[packed_by]).decompress(data)
    kind = message["content-type"]
    if kind == SERIALIZERS["yaml"].content_type:
        return import_module("yaml").safe_load(data)
    if kind == SERIALIZERS["msgpack"].content_type:
        return import_module("msgpack").unpackb(data, raw=False)
    return json.loads(data)


def json_text(value: object, where: str) -> str:
    """JSON as kombu encodes it: blanks after separators, everything outside ASCII escaped."""
    try:
        return ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise EntryInvalid(f"{where}: {error}", hint=_PLAIN_HINT) from error


def _content(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    body = _plain_body(args, kwargs)
    if b"beatd." in body and _has_holes(args, kwargs):  # a word is found faster than two brackets
        return None
    shown_args = saferepr(list(args)) if args else "()"
    shown = f'{ENCODER.encode(shown_args)}, "kwargsrepr": {ENCODER.encode(saferepr(kwargs))}'
    taken = -len(body) % 3
    return f"{base64.b64encode(body + _END[:taken]).decode()}\n{taken}\n{shown}"


def _plain_body(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """The body's JSON up to _END."""
    try:
        return ENCODER.encode((args, kwargs))[:-1].encode()
    except (TypeError, ValueError, RecursionError):
        json_text(args, "args")  # the one to blame is named
        json_text(kwargs, "kwargs")
        raise


def _shown_args(args: Sequence[Any]) -> str:
    return saferepr(list(args)) if args else "()"  # as celery beat: never the tuple's own brackets


def _has_holes(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return with_holes("args", args) is not args or with_holes("kwargs", kwargs) is not kwargs


NOTHING: Final = _content((), {})
