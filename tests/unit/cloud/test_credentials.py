import asyncio
import hashlib
import hmac
import itertools
import os
import pickle
import sys
import threading
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamer
from streamer.cloud import credentials as credentials_module
from streamer.cloud.client import CloudClient
from streamer.cloud.credentials import (
    AccessKey,
    Credentials,
    Password,
    Token,
    TokenFile,
    TokenProvider,
    as_credentials,
    credentials_from_environment,
)
from streamer.cloud.http import checked_endpoint
from streamer.errors import ConfigurationError, MissingExtraError
from streamer.secret import Secret
from streamer.threads import Threads

LIMIT_S = 20.0
VALUE = "secret-value-7d1f"  # looked for in everything that is shown
URL = "https://api.example.com/v1/instances/i/auth?stream_type=2"
SETTINGS = {
    "STREAMER_AUTH_TOKEN": VALUE,
    "STREAMER_AUTH_TOKEN_FILE": "/run/token",
    "STREAMER_IAM_ENDPOINT": "https://iam.example.com",
    "STREAMER_IAM_DOMAIN": "domain",
    "STREAMER_IAM_USER": "user",
    "STREAMER_IAM_PASSWORD": VALUE,
    "STREAMER_IAM_PROJECT": "project",
    "STREAMER_ACCESS_KEY": "AK",
    "STREAMER_SECRET_KEY": VALUE,
}
IAM_NEEDED = ["STREAMER_IAM_DOMAIN", "STREAMER_IAM_USER", "STREAMER_IAM_PASSWORD"]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


async def sign(credentials: Credentials, url: str = URL, method: str = "POST", body: bytes = b"") -> httpx.Request:
    """Return a request with the proof on it; nothing is sent."""
    request = httpx.Request(method, url, content=body)
    async with httpx.AsyncClient(verify=False) as http:
        await credentials.sign(request, http)
    return request


async def test_a_token_is_sent_as_x_auth_token() -> None:
    assert (await sign(Token(VALUE))).headers["x-auth-token"] == VALUE
    assert (await sign(Token(Secret(VALUE)))).headers["x-auth-token"] == VALUE


async def test_a_token_comes_from_the_environment_if_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", VALUE)
    assert (await sign(Token())).headers["x-auth-token"] == VALUE
    assert (await sign(Token("another"))).headers["x-auth-token"] == "another"


@pytest.mark.parametrize("nothing", [None, "", Secret("")])
def test_without_a_token_the_error_names_the_variable(nothing: str | Secret | None) -> None:
    with pytest.raises(ConfigurationError, match="STREAMER_AUTH_TOKEN"):
        Token(nothing)


@pytest.mark.parametrize("ending", ["\n", "\r\nx: y", " ", "\t", "\0", "é"])
@pytest.mark.parametrize("wrap", [str, Secret])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(ending: str, wrap: type[str] | type[Secret]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Token(wrap(VALUE + ending))
    assert VALUE not in str(caught.value)


@given(st.text())
def test_any_text_is_a_token_that_http_can_carry_or_is_refused(text: str) -> None:
    """Law: what Token accepts, a header carries unchanged; the rest is a ConfigurationError."""
    try:
        Token(Secret(text))
    except ConfigurationError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert text == text.strip()


async def test_a_provider_may_be_a_plain_function() -> None:
    assert (await sign(TokenProvider(lambda: VALUE))).headers["x-auth-token"] == VALUE


async def test_a_plain_provider_may_block_because_it_runs_in_a_thread() -> None:
    may_go_on = threading.Event()

    def provide() -> str:
        assert may_go_on.wait(LIMIT_S)
        return VALUE

    asked = asyncio.create_task(sign(TokenProvider(provide)))
    await asyncio.sleep(0)
    may_go_on.set()  # which the loop would not come to
    assert (await asked).headers["x-auth-token"] == VALUE


async def test_a_provider_that_has_no_more_tokens_raises_instead_of_waiting_for_ever() -> None:
    with pytest.raises(RuntimeError, match="the call raised StopIteration"):
        await sign(TokenProvider(lambda: next(iter([]))))


async def test_too_many_providers_at_once_are_an_error_that_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials_module, "_threads", Threads("token", limit=0))
    with pytest.raises(ConfigurationError, match="cannot ask the token provider: all 0 threads") as caught:
        await sign(TokenProvider(lambda: VALUE))
    assert caught.value.retryable


async def test_a_provider_may_be_an_async_function() -> None:
    async def provide() -> str:
        return VALUE

    assert (await sign(TokenProvider(provide))).headers["x-auth-token"] == VALUE


async def test_a_provider_is_asked_before_every_call() -> None:
    tokens = iter(["first", "second"])
    credentials = TokenProvider(lambda: next(tokens))
    assert [(await sign(credentials)).headers["x-auth-token"] for _ in range(2)] == ["first", "second"]


@pytest.mark.parametrize("wrong", ["", f"{VALUE}\n", None, 5])
async def test_a_provider_that_gives_no_token_is_a_configuration_error(wrong: object) -> None:
    credentials = TokenProvider(lambda: wrong)  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError) as caught:
        await sign(credentials)
    assert VALUE not in str(caught.value)


async def test_a_providers_own_exception_passes_through() -> None:
    def provide() -> str:
        raise LookupError("the vault is closed")

    with pytest.raises(LookupError, match="the vault is closed"):
        await sign(TokenProvider(provide))


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "iam.example.com",
        "ftp://iam.example.com",
        "https://",
        "https://:443",
        "https://user@iam.example.com",
        f"https://:{VALUE}@iam.example.com",
        "https://iam.example.com?x=1",
        "https://iam.example.com#x",
        "https://iam.example.com:99999",
        "https://iam..example.com",
        f"https://{'a' * 64}.example.com",
        "https://[::1",
        "https://iam.\nexample.com",
        " \n",
    ],
)
def test_an_invalid_endpoint_is_refused_by_every_class_that_takes_one(endpoint: str) -> None:
    with pytest.raises(ConfigurationError) as of_password:
        Password(iam_endpoint=endpoint, domain="domain", user="user", password=VALUE)
    with pytest.raises(ConfigurationError) as of_client:
        CloudClient(endpoint, Token(VALUE))
    assert VALUE not in str(of_password.value) + str(of_client.value)


def test_white_space_around_an_endpoint_does_not_count() -> None:
    assert checked_endpoint(" https://api.example/x/ \r\n", example="") == "https://api.example/x"


def sdk_hmac_sha256(request: httpx.Request, secret_key: str) -> str:
    """Return a request's signature, computed as the vendor's page on API signing says [doc], from what is sent."""
    names = dict(part.strip().split("=", 1) for part in request.headers["authorization"].partition(" ")[2].split(","))[
        "SignedHeaders"
    ].split(";")
    path, _, query = request.url.raw_path.decode().partition("?")
    segments = [quote(unquote(segment), safe="~") for segment in path.split("/")]
    canonical_path = "/".join(segments)
    canonical_request = "\n".join(
        [
            request.method,
            canonical_path if canonical_path.endswith("/") else canonical_path + "/",
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.content).hexdigest(),
        ]
    )
    string_to_sign = "\n".join(
        ["SDK-HMAC-SHA256", request.headers["x-sdk-date"], hashlib.sha256(canonical_request.encode()).hexdigest()]
    )
    return hmac.new(secret_key.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("url", "method", "body"),
    [
        (URL, "POST", b""),
        ("https://api.example.com/v1/instances/i/auth", "POST", b""),
        ("http://127.0.0.1:8080/open/api/v1/instances/a%2Bb%3A~c%25/auth?stream_type=2", "POST", b""),
        ("https://api.example.com/v1/x?b=2&a=1&c=a%20b", "GET", b""),
        ("https://api.example.com/v1/x/", "POST", b'{"a":1}'),
    ],
)
async def test_an_access_key_signs_as_the_vendor_documents(url: str, method: str, body: bytes) -> None:
    request = await sign(AccessKey(access_key="AK", secret_key=VALUE), url, method, body)
    authorization = request.headers["authorization"]
    assert authorization.startswith("SDK-HMAC-SHA256 Access=AK, SignedHeaders=")
    assert authorization.endswith(f", Signature={sdk_hmac_sha256(request, VALUE)}")
    assert "SignedHeaders=host;x-sdk-date," in authorization
    assert "x-auth-token" not in request.headers


async def test_a_project_id_is_sent_and_signed() -> None:
    request = await sign(AccessKey(access_key="AK", secret_key=VALUE, project_id="project-1"))
    assert request.headers["x-project-id"] == "project-1"
    assert "SignedHeaders=host;x-project-id;x-sdk-date," in request.headers["authorization"]
    assert request.headers["authorization"].endswith(sdk_hmac_sha256(request, VALUE))


async def test_the_secret_key_decides_the_signature() -> None:
    request = await sign(AccessKey(access_key="AK", secret_key="another"))
    assert not request.headers["authorization"].endswith(sdk_hmac_sha256(request, VALUE))


@pytest.mark.parametrize("module", ["huaweicloudsdkcore.sdk_request", "huaweicloudsdkcore.signer.signer"])
def test_without_the_extra_an_access_key_says_which_one_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"koophone-streamer\[aksk\]") as caught:
        AccessKey(access_key="AK", secret_key=VALUE)
    assert caught.value.extra == "aksk"


def expected_from(environment: set[str]) -> type[Credentials] | None:
    """Say what the documented order of the variables gives; None is an error."""
    if "STREAMER_AUTH_TOKEN" in environment:
        return Token
    if "STREAMER_AUTH_TOKEN_FILE" in environment:
        return TokenFile
    if "STREAMER_IAM_ENDPOINT" in environment:
        return Password if environment.issuperset(IAM_NEEDED) else None
    if "STREAMER_ACCESS_KEY" in environment:
        return AccessKey if "STREAMER_SECRET_KEY" in environment else None
    return None


@pytest.mark.parametrize("blank", [False, True], ids=["others unset", "others blank"])
def test_every_combination_of_variables_gives_its_credentials_or_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, blank: bool
) -> None:
    for count in range(len(SETTINGS) + 1):
        for names in itertools.combinations(SETTINGS, count):
            with monkeypatch.context() as environment:
                for name, value in SETTINGS.items():
                    if name in names:
                        environment.setenv(name, value)
                    elif blank:
                        environment.setenv(name, "")
                expected = expected_from(set(names))
                if expected is None:
                    with pytest.raises(ConfigurationError, match="STREAMER_") as caught:
                        credentials_from_environment()
                    assert VALUE not in str(caught.value)
                else:
                    assert type(credentials_from_environment()) is expected, names


def test_an_empty_environment_names_every_way_in() -> None:
    with pytest.raises(ConfigurationError) as caught:
        credentials_from_environment()
    for name in SETTINGS.keys() - {"STREAMER_IAM_PROJECT"}:
        assert name in str(caught.value)


@pytest.mark.parametrize("missing", IAM_NEEDED)
def test_an_iam_setting_that_is_missing_is_named_and_no_other(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in ["STREAMER_IAM_ENDPOINT", *IAM_NEEDED]:
        if name != missing:
            monkeypatch.setenv(name, SETTINGS[name])
    with pytest.raises(ConfigurationError) as caught:
        credentials_from_environment()
    assert [name for name in IAM_NEEDED if name in str(caught.value)] == [missing]


def test_an_access_key_without_its_secret_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMER_ACCESS_KEY", "AK")
    with pytest.raises(ConfigurationError, match="STREAMER_SECRET_KEY"):
        credentials_from_environment()


@pytest.mark.parametrize(
    "credentials",
    [
        Token(VALUE),
        TokenProvider(lambda: VALUE),
        Password(iam_endpoint="https://iam.example.com", domain="domain", user="user", password=VALUE),
        AccessKey(access_key="AK", secret_key=VALUE),
    ],
)
def test_credentials_show_no_secret_and_are_not_pickled(credentials: Credentials) -> None:
    assert VALUE not in repr(credentials)
    assert VALUE not in repr(vars(credentials))
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        pickle.dumps(credentials)


async def test_a_token_file_is_read_before_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("first\r\n")
    monkeypatch.chdir(tmp_path)
    credentials = TokenFile("token")
    monkeypatch.chdir("/")  # a relative path is relative to where it was given
    assert (await sign(credentials)).headers["x-auth-token"] == "first"
    path.write_text(" second ")
    request = await sign(credentials)
    assert request.headers["x-auth-token"] == "second"
    assert credentials.renew(request)


@pytest.mark.parametrize("content", [None, b"", b" \n", VALUE.encode() + b"\nx: y", b"\xff" + VALUE.encode(), b"\0"])
async def test_a_token_file_without_a_token_is_a_passing_error_that_names_it(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"cannot read the tenant token from .*token: ") as caught:
        await sign(TokenFile(path))
    assert caught.value.retryable
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("name", SETTINGS)
def test_white_space_around_a_value_of_the_environment_does_not_count(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = (
        {"STREAMER_AUTH_TOKEN"},
        {"STREAMER_AUTH_TOKEN_FILE"},
        {"STREAMER_ACCESS_KEY", "STREAMER_SECRET_KEY"},
        {*IAM_NEEDED, "STREAMER_IAM_ENDPOINT", "STREAMER_IAM_PROJECT"},
    )
    for other in next(group for group in groups if name in group):
        monkeypatch.setenv(other, f" {SETTINGS[other]}\r\n")
    credentials = credentials_from_environment()
    assert type(credentials) is expected_from({other for other in SETTINGS if os.environ.get(other)})
    for value in vars(credentials).values():
        shown = value.reveal() if isinstance(value, Secret) else value
        assert not isinstance(shown, str) or shown == shown.strip()


@pytest.mark.parametrize("inside", ["\n", "\r\nx: y", "\x1b[31m", "\x7f"])
def test_control_characters_in_a_value_of_the_environment_are_refused(
    inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", f"{VALUE}{inside}{VALUE}")
    for make in (Token, credentials_from_environment):
        with pytest.raises(ConfigurationError, match="STREAMER_AUTH_TOKEN") as caught:
            make()
        assert VALUE not in str(caught.value)


async def test_a_text_is_a_token_wherever_credentials_are_expected() -> None:
    for text in (VALUE, Secret(VALUE)):
        assert (await sign(as_credentials(text))).headers["x-auth-token"] == VALUE
    token = Token(VALUE)
    assert as_credentials(token) is token


@pytest.mark.parametrize(
    "wrong", [None, 5, b"abc", Token, AccessKey, lambda: VALUE, {"token": VALUE}, "", f"{VALUE}\n"]
)
def test_invalid_credentials_are_refused_at_the_call(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=r"expected (credentials|a tenant token)") as caught:
        streamer.connect("any", endpoint="https://api.example", credentials=wrong)  # type: ignore[arg-type]
    assert VALUE not in str(caught.value)


def test_only_a_plain_token_has_an_end() -> None:
    password = Password(iam_endpoint="https://iam.example.com", domain="domain", user="user", password=VALUE)
    others = [TokenFile("x"), TokenProvider(lambda: VALUE), password, AccessKey(access_key="AK", secret_key=VALUE)]
    assert Token(VALUE).lasts_s == 24 * 3600
    assert {other.lasts_s for other in others} == {None}


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    assert f"{secret} {secret!r} {secret!s}" == "Secret(***) Secret(***) Secret(***)"
    assert secret == Secret(VALUE)
    assert hash(secret) == hash(Secret(VALUE))
    assert secret != Secret("another")
    assert secret != VALUE
    assert not Secret("")
