"""What is taken for a secret, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.node.inputs import InputSpec
from graphengine.node.secrets import (
    HIDDEN,
    has_token,
    is_secret_input,
    is_secret_name,
    without_secret,
    without_tokens,
)

# Put together from parts, so that nobody who searches this repository for keys finds some.
TOKENS = [
    "sk-" + "proj-abcDEF0123456789abcDEF0123",
    "hf_" + "abcdefghijKLMNOPQRSTuvwxyz012345",
    "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz",
    "github_pat_" + "11ABCDEFG0abcdefghij_klmnopqrst",
    "glpat-" + "AbCdEfGhIjKlMnOpQrSt",
    "xoxb-" + "123456789012-abcdefghij",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE" + " KEY-----",
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_known_by_its_form_wherever_it_stands(token: str) -> None:
    assert without_tokens(token) == HIDDEN
    assert without_tokens(f"use {token}") == f"use {HIDDEN}"
    assert without_tokens(f'{{"key": "{token}"}}') == f'{{"key": "{HIDDEN}"}}'
    assert has_token(f"a text\nwith {token}, and more")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:hunter22@host/x", f"https://{HIDDEN}@host/x"),
        ("https://host/file?token=abcdef123456&size=3", f"https://host/file?{HIDDEN}&size=3"),
        ("Authorization: Bearer " + "abcdefghijklmnopqrstuvwxyz", f"Authorization: Bearer {HIDDEN}"),
    ],
)
def test_addresses_and_headers_lose_their_secret_alone(text: str, shown: str) -> None:
    assert without_tokens(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "a red fox, masterpiece, (best quality:1.2), <lora:add_detail:0.7>",
        "task-management-of-a-large-company",
        "https://example.com/a/b?size=100&page=2",
        "the keyword is asia, AKIA, hf_small",
        "embedding:EasyNegative, 4k, 8k uhd, sk-y",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "12:30, ratio 16:9 @ 24 fps",
    ],
)
def test_prompts_addresses_and_hashes_are_no_tokens(text: str) -> None:
    assert without_tokens(text) == text


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "OPENAI_API_KEY", "hf_token", "token", "authToken", "password", "client_secret",
     "passwd", "aws_access_key", "private_key", "passphrase", "credentials", "mode.api_key", "mode.token"],
)  # fmt: skip
def test_inputs_with_such_names_hold_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert is_secret_input(InputSpec(name, "STRING"))


@pytest.mark.parametrize(
    "name", ["text", "seed", "max_tokens", "token_count", "tokens", "keyframe", "broken", "monkey"]
)
def test_inputs_with_other_names_do_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (InputSpec("value", "STRING", options={"password": True}), True),
        (InputSpec("value", "STRING", options={"is_secret": True}), True),
        (InputSpec("value", "STRING", options={"password": False}), False),
        (InputSpec("value", "STRING", options={"secret": "no flag"}), False),
        (InputSpec("value", "API_KEY"), True),
        (InputSpec("value", "SECRET"), True),
        (InputSpec("value", "STRING"), False),
    ],
)
def test_types_and_options_declare_secrets(spec: InputSpec, expected: bool) -> None:
    assert is_secret_input(spec) is expected


@pytest.mark.parametrize("value", [None, "", True, False, [], {}])
def test_what_says_nothing_stays(value: object) -> None:
    assert without_secret(value) == value


@pytest.mark.parametrize("value", ["x", 0, 5, 1.5, ["x"], {"a": "x"}])
def test_what_may_be_a_secret_is_replaced(value: object) -> None:
    assert without_secret(value) == HIDDEN


@given(st.text(max_size=300))
def test_what_was_cleaned_holds_no_token_any_more(text: str) -> None:
    cleaned = without_tokens(text)
    assert not has_token(cleaned) or HIDDEN in cleaned


@given(st.text(max_size=200), st.sampled_from([*TOKENS, "https://a:secret12@host", "?token=abcdef1"]))
def test_what_is_looked_for_first_hides_no_token_from_the_search(text: str, token: str) -> None:
    assert HIDDEN in without_tokens(f"{text} {token}")
