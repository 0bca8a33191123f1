"""What is a secret and never written down: inputs that are named or declared so, and tokens by their form."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from graphengine.node.inputs import InputSpec

#: What stands in place of a secret.
HIDDEN = "(not recorded)"

#: Names of inputs that hold secrets.
SECRET_NAME = re.compile(
    r"(?i:api_?key|access_?key|private_?key|secret|passw(or)?d|passphrase|credential|(^|[._ ])token$)|[a-z]Token$"
)
_SECRET_TYPES = frozenset({"SECRET", "SECRET_STRING", "API_KEY", "APIKEY", "PASSWORD", "CREDENTIALS"})
_SECRET_OPTIONS = ("password", "secret", "is_secret", "is_password", "isPassword", "isSecret")

# Each with what may not stand before it, so that "task-…" is no "sk-…".
_FORMS = re.compile(
    r"""
    (?<![A-Za-z0-9])(?:
        sk-[A-Za-z0-9_-]{16,}                                   # OpenAI and others
      | (?:hf|gh[pousr]|r8|npm|pypi)_[A-Za-z0-9]{16,}           # Hugging Face, GitHub, Replicate
      | github_pat_[A-Za-z0-9_]{16,}
      | (?:glpat|xox[abeprs])-[A-Za-z0-9-]{10,}                 # GitLab, Slack
      | (?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])                   # Amazon
      | AIza[0-9A-Za-z_-]{35}                                   # Google
      | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]* # JSON web tokens
    )
    | -----BEGIN[A-Z ]*\ PRIVATE\ KEY-----.*?(?:-----END[A-Z ]*\ PRIVATE\ KEY-----|\Z)
    | (?<=://)[^/\s:@"]{0,200}:[^/\s@"]{1,200}(?=@)             # the user of an address
    | (?<=[?&])(?:token|api_?key|key|secret|access_token|sig|signature)=[^&\s"\\]{6,}
    | (?<=\bBearer\ )[A-Za-z0-9._~+/-]{16,}=*
    """,
    re.VERBOSE | re.DOTALL,
)


#: One of these is in every text that the pattern finds something in, addresses aside; they are looked for first.
_MARKS = (
    "sk-", "hf_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "r8_", "npm_", "pypi_", "github_pat_", "glpat-", "xox",
    "AKIA", "ASIA", "AIza", "eyJ", " PRIVATE KEY", "Bearer ", "token=", "key=", "secret=", "sig=", "signature=",
)  # fmt: skip


#: Names of parts of a query that let somebody in, or tell when that ends.
_LETS_IN = re.compile(
    r"token|key|secret|sig|auth|pass|pwd|credential|session|jwt|policy|expires|x-amz|x-goog", re.I
)


def is_secret_name(name: str) -> bool:
    """Whether an input of this name holds a secret: `api_key`, `hf_token`, `password`."""
    return SECRET_NAME.search(name) is not None


def is_secret_input(spec: InputSpec) -> bool:
    """Whether an input holds a secret: by its name, its type, or an option such as `{"password": True}`."""
    if is_secret_name(spec.name) or str(spec.type).upper() in _SECRET_TYPES:
        return True
    return any(spec.options.get(option) is True for option in _SECRET_OPTIONS)


def secret_inputs(inputs: Mapping[str, InputSpec]) -> tuple[str, ...]:
    """The names of those inputs of a node type that hold secrets."""
    return tuple(name for name, spec in inputs.items() if is_secret_input(spec))


def has_token(text: str) -> bool:
    """Whether a text holds what looks like a token, a key or a password by its form."""
    return _may_hold(text) and _FORMS.search(text) is not None


def without_tokens(text: str) -> str:
    """A text with what looks like a token, a key or a password replaced."""
    return _FORMS.sub(HIDDEN, text) if _may_hold(text) else text


def _may_hold(text: str) -> bool:
    return any(mark in text for mark in _MARKS) or ("://" in text and "@" in text)


# Any: a value of JSON, or a link.
def without_secret(value: Any) -> Any:
    """What is written in place of a value that is a secret; nothing, a switch or a link says nothing and stays."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float | list | dict):
        return value
    return HIDDEN if value or isinstance(value, int | float) else value


def without_credentials(address: str) -> str:
    """An address as it may be shared: without user, password, and such parts of a query as tokens and signatures.

    `git@host:path` keeps its user, which is no secret.
    """
    if "://" not in address:
        return address
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    kept = f"{user.partition(':')[0]}@" if at and parts.scheme in ("ssh", "git+ssh") else ""
    query = [(name, value) for name, value in parse_qsl(parts.query, True) if not _LETS_IN.search(name)]
    return urlunsplit((parts.scheme, kept + host, parts.path, urlencode(query), ""))
