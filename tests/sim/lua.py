"""The scripts' real text in Lua 5.1, with ``redis`` and ``cjson`` as Redis gives them (7.0)."""

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import lupa.lua51 as lupa

from tests.sim.replies import Failure, Reply, Status

Dispatch = Callable[[Sequence[bytes]], Reply]
DEEPEST: Final = 1000

PRELUDE: Final = b"""
local dispatch, decode, encode, null = ...
redis, cjson = {}, {null = null}
local error, type = error, type
function redis.call(...)
  local reply = dispatch(...)
  if type(reply) == 'table' and reply.err then error(reply) end
  return reply
end
function redis.pcall(...) return dispatch(...) end
function redis.error_reply(text) return {err = text} end
function redis.status_reply(text) return {ok = text} end
function cjson.decode(text)
  local ok, value = decode(text)
  if not ok then error(value) end
  return value
end
function cjson.encode(value)
  local ok, text = encode(value)
  if not ok then error(text) end
  return text
end
io, os, require, package, module, dofile, loadfile, print, python = nil
setmetatable(_G, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'")
  end,
  __newindex = function() error('Attempt to modify a readonly table') end,
})
"""


class _Null:
    """JSON's null, which Lua tables can't hold."""


NULL: Final = _Null()


class Lua:
    """One interpreter; scripts are compiled once. Not for use by two servers at the same instant."""

    def __init__(self) -> None:
        self._lua = lupa.LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False)
        self._type = lupa.lua_type
        self._compiled: dict[bytes, Any] = {}
        self._dispatch: Dispatch = lambda _: Failure("ERR no server")
        self._globals = self._lua.globals()
        self._rawset = self._globals[b"rawset"]
        self._lua.execute(PRELUDE, self._call, self._decode, self._encode, NULL)

    def run(self, text: bytes, keys: Sequence[bytes], args: Sequence[bytes], dispatch: Dispatch) -> Reply:
        """Runs a script to its end; its error is a Failure, with all that it wrote before kept."""
        script = self._compiled.get(text)
        if script is None:
            body = re.sub(rb"^#![^\n]*", b"", text)
            try:
                script = self._compiled[text] = self._lua.compile(body)
            except lupa.LuaSyntaxError as error:
                return Failure(f"ERR Error compiling script: {error}")
        before, self._dispatch = self._dispatch, dispatch
        try:
            self._rawset(self._globals, b"KEYS", self._lua.table_from(keys))
            self._rawset(self._globals, b"ARGV", self._lua.table_from(args))
            value = script()
            return self._reply(value[0] if isinstance(value, tuple) else value)
        except lupa.LuaError as error:
            return Failure(_message(error))
        finally:
            self._dispatch = before

    def _call(self, *args: Any) -> Any:
        words = [arg if type(arg) is bytes else _number_text(arg) for arg in args]
        reply = self._dispatch(words)
        if type(reply) is bytes or type(reply) is int:
            return reply
        if reply is None:
            return False
        if isinstance(reply, Status):
            return self._lua.table_from({b"ok": bytes(reply)})
        if isinstance(reply, Failure):
            return self._lua.table_from({b"err": reply.text.encode()})
        assert isinstance(reply, list)
        return self._lua.table_from([False if item is None else item for item in reply])

    def _reply(self, value: Any) -> Reply:  # noqa: PLR0911  # one line a type
        if isinstance(value, bytes):
            return value
        if isinstance(value, bool):
            return 1 if value else None
        if isinstance(value, int | float):
            return int(value)
        if self._type(value) != "table":
            return None
        if value[b"err"] is not None:
            return Failure(value[b"err"].decode(errors="replace"))
        if value[b"ok"] is not None:
            return Status(value[b"ok"])
        found: list[Reply] = []
        while (item := value[len(found) + 1]) is not None:
            found.append(self._reply(item))
        return found

    def _decode(self, text: bytes) -> tuple[bool, Any]:
        try:
            value = _JSON.decode(text.decode("utf-8", "surrogateescape"))
            return True, self._to_lua(value, 0)
        except (ValueError, RecursionError) as error:
            return False, str(error).encode()

    def _to_lua(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict | list) and depth >= DEEPEST:
            raise ValueError("Found too many nested data structures (1001)")
        if isinstance(value, dict):
            table = self._lua.table()
            for key, item in value.items():
                table[_utf8(key)] = self._to_lua(item, depth + 1)
            return table
        if isinstance(value, list):
            return self._lua.table_from([self._to_lua(item, depth + 1) for item in value])
        if isinstance(value, str):
            return _utf8(value)
        return NULL if value is None else value

    def _encode(self, value: Any) -> tuple[bool, bytes]:
        try:
            return True, self._to_json(value, 0)
        except ValueError as error:
            return False, str(error).encode()

    def _to_json(self, value: Any, depth: int) -> bytes:
        if isinstance(value, bool):
            return b"true" if value else b"false"
        if value is NULL or value is None:
            return b"null"
        if isinstance(value, bytes):
            return _quoted(value)
        if isinstance(value, int | float):
            return _json_number(value)
        if self._type(value) != "table" or depth >= DEEPEST:
            raise ValueError("Cannot serialise: type not supported, or too deep")
        keys = list(value.keys())
        if keys and all(isinstance(key, int | float) and key >= 1 and key == int(key) for key in keys):
            most = int(max(keys))
            if most > 10 and most > 2 * len(keys):
                raise ValueError("Cannot serialise table: excessively sparse array")
            return b"[%b]" % b",".join(self._to_json(value[i], depth + 1) for i in range(1, most + 1))
        return b"{%b}" % b",".join(
            b"%b:%b" % (_quoted(_key(key)), self._to_json(item, depth + 1)) for key, item in value.items()
        )


@cache
def shared_lua() -> Lua:
    """The interpreter of this process."""
    return Lua()


def _message(error: Exception) -> str:
    value: Any = error.args[0] if error.args else ""
    if lupa.lua_type(value) == "table":  # {err=...} that redis.call raised and nobody caught
        value = value[b"err"]
        return str(value.decode(errors="replace"))
    return f"ERR {value.decode(errors='replace') if isinstance(value, bytes) else value}"


def _number_text(value: object) -> bytes:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return b"%.17g" % value
    raise TypeError(f"a command takes texts and numbers, not {value!r}")


def _constant(text: str) -> float:
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[text]


# cjson takes control characters in texts, and so does strict=False.
_JSON: Final = json.JSONDecoder(strict=False, parse_int=float, parse_constant=_constant)


def _utf8(text: str) -> bytes:
    """The bytes as they came in; a lone surrogate out of an escape is refused."""
    return text.encode("utf-8", "surrogateescape")


def _quoted(text: bytes) -> bytes:
    escapes = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r", 34: b'\\"', 47: b"\\/", 92: b"\\\\"}
    parts = []
    for byte in text:
        if byte in escapes:
            parts.append(escapes[byte])
        elif byte < 32 or byte == 127:
            parts.append(b"\\u%04x" % byte)
        else:
            parts.append(bytes([byte]))
    return b'"%b"' % b"".join(parts)


def _json_number(value: float) -> bytes:
    if math.isinf(value) or math.isnan(value):
        raise ValueError("Cannot serialise number: must not be NaN or Inf")
    return b"%.14g" % value


def _key(key: Any) -> bytes:
    if isinstance(key, bytes):
        return key
    if isinstance(key, int | float) and not isinstance(key, bool):
        return b"%.14g" % key
    raise ValueError("Cannot serialise table: table key must be a number or string")
