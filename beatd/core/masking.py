"""What may be shown of a text: its URLs without passwords, and known secrets in none of their forms."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK: Final = "***"

# Strict, for what is a URL as a whole: of anything else nobody can tell which part is the secret.
_WHO: Final = r"(?:(?P<user>[^:/?#\s]*)(?P<secret>:[^/?#\s]*)?@)?"
_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::[0-9]{1,5})?"
_URLS: Final = (
    re.compile(rf"(?P<scheme>rediss?://){_WHO}(?P<place>{_HOST}(?:/[0-9]*/?)?)(?P<query>\?[^#]*)?"),
    re.compile(rf"(?P<scheme>unix://){_WHO}(?P<place>/[^?#@]+)(?P<query>\?[^#]*)?"),
    re.compile(
        rf"(?P<scheme>rediss?\+sentinel://){_WHO}(?P<place>{_HOST}(?:,{_HOST})*/[A-Za-z0-9._-]+(?:/[0-9]*/?)?)"
        r"(?P<query>\?[^#]*)?"
    ),
    re.compile(
        r"(?P<scheme>(?!rediss?(?:\+sentinel)?:|unix:)[a-z][a-z0-9+.-]*://)"
        rf"{_WHO}(?P<place>{_HOST}(?:/[^?#@\s]*)?)(?P<query>\?[^#]*)?"
    ),
)
_USER: Final = re.compile(r"[\w.-]*")  # with other characters it may be a part of the password
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")

# Loose, for URLs amid other words: a broken one loses too much rather than too little. It begins behind the scheme: one
# that begins with it would read a long word again from each of its letters, for minutes.
_IN_TEXT: Final = re.compile(r"://(?P<rest>[^\s\"'<>`]+)")
_EXAMPLES: Final = frozenset({":password", "user:password", "[user:password"})  # of our own hints
_NO_PORT: Final = re.compile(r":(?!port\b|[0-9]{0,5}(?:[^\w]|$))(?P<secret>[^/?#\]]+)$")
_OPEN: Final = re.compile(  # parameters that tell nothing
    r"(?:ssl_(?!password=)\w+|client_name|(?:sentinel_)?(?:username|password_file)|virtual_host)=.*|(?:socket_\w+|\w*timeout|db|protocol|max_\w+)=[0-9.]*"
)

SHORTEST: Final = 4  # a shorter one would be found in half of all words
_APART: Final = 8  # a shorter one counts only where it stands by itself
_WORDS: Final = frozenset(  # of our own sentences: masking them would hide nothing and garble everything
    {*("redis", "rediss", "valkey", "default", "password", "secret", "user", "username", "beatd", "celery", "guest")}
    | {*("localhost", "true", "false", "null", "none", "test", "admin", "root")}
)


def mask_url(url: str) -> str:
    """A URL as it may be shown: ``***`` for a password, for a lone user name (often a token), and for the query.

    Of a text that is no URL only the scheme is shown, and of one with an @ in its query: what looks like its host may
    be the begin of a password with a question mark in it.
    """
    found = parts(url)
    if not found or "@" in (found["query"] or ""):
        scheme = _SCHEME.match(url)
        return f"{scheme[0]}{MASK}" if scheme else MASK
    user = found["user"]
    named = found["secret"] is not None and _USER.fullmatch(user)
    who = "" if user is None else f"{user}:{MASK}@" if named else f"{MASK}@"
    return f"{found['scheme']}{who}{found['place']}{f'?{MASK}' if found['query'] else ''}"


def parts(url: str) -> "re.Match[str] | None":
    """A URL of Redis or a broker in its groups scheme, user, secret (with its colon), place and query; or None."""
    return next((found for pattern in _URLS if (found := pattern.fullmatch(url))), None)


def mask_text(text: str) -> str:
    """A text whose URLs show no password, no lone user name, and no parameter that may be a secret."""
    return _IN_TEXT.sub(_masked_run, text)


def _masked_run(found: "re.Match[str]") -> str:
    place, question, query = found["rest"], "", ""
    if "@" in place:
        who, _, behind = place.rpartition("@")
        user, colon, _ = who.partition(":")
        if who not in _EXAMPLES:
            who = f"{user}:{MASK}" if colon and _USER.fullmatch(user) else MASK
        behind, question, query = behind.partition("?")
        place = f"{who}@{behind}"
    else:
        place, question, query = place.partition("?")
        host, slash, path = place.partition("/")
        place = _NO_PORT.sub(f":{MASK}", host) + slash + path
    shown = "&".join(_parameter(word) for word in query.split("&"))
    return f"://{place}{question}{shown}"


def _parameter(word: str) -> str:
    return word if "=" not in word or _OPEN.fullmatch(word) else MASK


def secrets_of(url: str) -> frozenset[str]:
    """What is secret in a URL, as it stands there: password, lone user name, parameters; of no URL all there is."""
    found = parts(url)
    rest = url.partition("://")[2] or url
    who, _, behind = rest.rpartition("@")
    user, colon, password = who.partition(":")
    secrets = {password if colon else user}
    for word in behind.partition("?")[2].partition("#")[0].split("&"):
        if not _OPEN.fullmatch(word):
            secrets.add(word.partition("=")[2])
    if found is None and url != "redis":
        secrets |= {rest, *re.split(r"[/?#@:;,&=\s]+", rest)}
    return frozenset(secret for secret in secrets if len(secret) >= SHORTEST)


class Secrets:
    """The secrets that this process knows. It only learns."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, url: str | None) -> None:
        """Takes what a setting of which nothing secret may be shown was given as. None: nothing."""
        forms = set(_forms(secrets_of(url))) if url else set()
        if forms - self._forms:
            self._forms |= forms
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(_pattern, longest_first)))

    def hide(self, text: str) -> str:
        """The text as it may be shown."""
        text = mask_text(text)
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def _forms(secrets: Iterable[str]) -> Iterator[str]:
    """How a secret may be met: as given, decoded, encoded by others, quoted in a text."""
    for secret in secrets:
        for plain in (secret, unquote(secret), unquote_plus(secret)):
            for form in (plain, quote(plain, safe=""), quote(plain), quote_plus(plain), repr(plain)[1:-1]):
                yield from (form, re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form))
            yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1])


def _pattern(form: str) -> str:
    if form.lower() in _WORDS or len(form) < SHORTEST:
        return r"(?!)"  # matches nothing
    text = re.escape(form)
    return text if len(form) >= _APART else rf"(?<!\w){text}(?!\w)"
