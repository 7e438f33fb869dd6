"""`${VAR}`, `${VAR:-default}` and `${VAR:?message}` in string values; `$${` is a literal `${`."""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from beatd.errors import ConfigInvalid

_HOLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^}]*))?\}")


def substitute(value: Any, env: Mapping[str, str], where: str) -> Any:
    """The value with every hole filled, at any depth. Raises ConfigInvalid for a variable that is not set.

    A text that is wholly one hole takes the type that YAML would give the variable's content.
    """
    if isinstance(value, dict):
        return {key: substitute(item, env, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, env, f"{where}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _HOLE.fullmatch(value)
    text = _HOLE.sub(lambda hole: _fill(hole, env, where), value)
    if not whole or not whole[1]:
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        hint = "quote it inside the variable, as in YAML"
        raise ConfigInvalid(f"{where}: the content of ${{{whole[1]}}} is not readable as YAML", hint=hint) from error


def _fill(hole: "re.Match[str]", env: Mapping[str, str], where: str) -> str:
    name, how, rest = hole[1], hole[2], hole[3]
    if name is None:
        return "${"
    found = env.get(name)
    if found is not None and (found or how is None):
        return found
    if how == ":-":
        return str(rest)
    message = rest if how == ":?" else "it is not set"
    raise ConfigInvalid(
        f"{where}: ${{{name}}}: {message}", hint=f"set {name}, or write ${{{name}:-default}} with a default"
    )
