"""What may be shown of a text: no secret, in none of its forms; and all the rest as it is."""

import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.masking import Secrets, mask_text, mask_url, secrets_of

UNTOUCHED = [
    "Redis at redis://127.0.0.1:6379/0 does not answer",
    "redis://[user:password@]host[:port][/db], rediss://... and unix:///path is accepted",
    "write it into the URL: redis://:password@host:port/0, with a user redis://user:password@host:port/0",
    "rediss://host:port/0?ssl_ca_certs=/path/ca.pem",
    "a URL such as amqp://user:password@host/vhost is accepted",
    "redis://[::1]:6379/0 and http://host/a:b/c",
    "see redis://host.",
    "redis+sentinel://host[:port],host[:port]/name[/db]; in a password",
    "redis+sentinel://127.0.0.1:26379,[::1]:26380/mymaster, primary 127.0.0.1:6379, was left",
    "rediss://host/0?password_file=/run/secrets/redis&sentinel_username=bob",
    "mail me@host, or 12:30@noon",
]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert mask_text(text) == text
    assert Secrets().hide(text) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("to redis://user:CANARY@host/0 failed", "to redis://user:***@host/0 failed"),
        ("'redis://:CANARY@host'", "'redis://:***@host'"),
        ("amqp://CANARY@host//", "amqp://***@host//"),
        ("amqp://a:CANARY@b;amqp://c:CANARY@d", "amqp://a:***@d"),
        ("redis://u:CAN/AR?Y#CANARY@host", "redis://u:***@host"),
        ("redis://host:CANARY/0", "redis://host:***/0"),
        ("redis://:CANARY", "redis://:***"),
        ("https://host/x?token=CANARY&ssl_cert_reqs=none", "https://host/x?***&ssl_cert_reqs=none"),
        ("rediss://host?ssl_password=CANARY", "rediss://host?***"),
        ("redis+sentinel://a:CANARY@b:1,c:2/d: no", "redis+sentinel://a:***@b:1,c:2/d: no"),
        ("redis+sentinel://b,c/d?sentinel_password=CANARY", "redis+sentinel://b,c/d?***"),
    ],
)
def test_urls_amid_a_text_lose_what_could_be_secret(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def test_a_long_word_beside_a_url_takes_no_time() -> None:
    text = "redis://user:CANARY@host " + "y" * 200_000  # of each letter to the end of the word it would be minutes
    before = time.process_time()
    assert mask_text(text) == text.replace("CANARY", "***")
    assert time.process_time() - before < 2


SECRETS = ["CANARY+/=", "p@ss:CANARY", 'say "CANARY"', "CANARY é ü", "50%CANARY", "back\\CANARY"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_known_secret_is_hidden_however_it_is_written(secret: str) -> None:
    secrets = Secrets()
    secrets.learn(f"redis://user:{quote(secret, safe='')}@host/0")
    lower = quote(secret, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d")
    for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), lower, repr(secret)[1:-1]):
        assert "CANARY" not in secrets.hide(f"AUTH {form} was refused")
    assert "CANARY" not in secrets.hide(json.dumps({"password": secret}))


def test_what_is_secret_in_a_url_is_known_and_nothing_else() -> None:
    assert secrets_of("redis://user:hunter2@host:6379/0?socket_timeout=2.55&password=hunter3") == {"hunter2", "hunter3"}
    assert secrets_of("redis://hunter2@host") == {"hunter2"}
    assert secrets_of("redis://localhost:6379/0") == frozenset()
    assert secrets_of("redis") == frozenset()
    assert "hunter2" in secrets_of("hunter2")
    assert "CANARY" in secrets_of("redis:CANARY@host")


def test_a_short_secret_counts_only_by_itself_and_a_common_word_never() -> None:
    secrets = Secrets()
    secrets.learn("redis://:fire@host")
    secrets.learn("redis://:password@host")
    secrets.learn("redis://:x@host")
    assert secrets.hide("entry_fired, fire and password of x") == "entry_fired, *** and password of x"


def test_secrets_are_only_learnt() -> None:
    secrets = Secrets()
    secrets.learn("redis://:CANARY-one@host")
    secrets.learn(None)
    secrets.learn("redis://:CANARY-one-and-more@host")
    assert secrets.hide("CANARY-one CANARY-one-and-more") == "*** ***"


PIECES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), max_size=6)


def no_at(text: str) -> str:
    """What is before the last @ belongs to the password."""
    return text.replace("@", "")


@given(PIECES, PIECES, st.sampled_from(["redis", "rediss", "amqp", "unix", "sqs"]), PIECES.map(no_at))
def test_no_part_of_a_password_is_ever_shown_of_a_url(before: str, behind: str, scheme: str, place: str) -> None:
    """The middle of a password, whatever stands around it."""
    url = f"{scheme}://user:{before}CANARYCANARY{behind}@{place}"
    assert "CANARY" not in mask_url(url)
    secrets = Secrets()
    secrets.learn(url)
    assert "CANARY" not in secrets.hide(f"Port could not be cast to integer value as {before}CANARYCANARY{behind}")


@pytest.mark.parametrize(
    "url", ["redis://CANARY?x=1@host:6379/0", "amqp://CANARY?@host", "unix:///CANARY?x@/run/redis"]
)
def test_what_may_be_a_token_with_a_question_mark_is_not_shown_as_a_host(url: str) -> None:
    assert mask_url(url) == f"{url.partition('://')[0]}://***"


def test_both_passwords_of_sentinels_and_server_are_known() -> None:
    secrets = Secrets()
    secrets.learn("redis+sentinel://bob:CANARY1@a,b:1/name?sentinel_password=CANARY2&sentinel_username=eve")
    assert secrets.hide("CANARY1 CANARY2 bob eve name") == "*** *** bob eve name"
