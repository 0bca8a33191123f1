"""What a call in the code of a pack does, by the name of the function."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping

from graphengine.packs.checking.names import dotted, texts_in

_PROCESSES = re.compile(
    r"subprocess\.(run|call|check_call|check_output|Popen|getoutput|getstatusoutput)"
    r"|os\.(system|popen|startfile|posix_spawnp?|exec[lv]p?e?|spawn[lv]p?e?|fork)"
    r"|pty\.spawn|asyncio\.create_subprocess_(exec|shell)|commands\.getoutput|(invoke|sh)\.\w+|pexpect\.spawn"
)
_NETWORK = re.compile(
    r"(requests|httpx|aiohttp|urllib3|websocket|websockets|paramiko|ftplib|smtplib|telnetlib|boto3|gdown|wget|pycurl"
    r"|socket|http\.client|urllib\.request|xmlrpc\.client)\.\w+(\.\w+)*"
    r"|torch\.hub\.\w+|huggingface_hub\.(\w*download\w*|\w*Api|login|upload\w*)|(hf_hub|snapshot)_download"
    r"|torch\.utils\.model_zoo\.\w+|load_file_from_url|.*\.(hf_hub_download|snapshot_download|download_url_to_file)"
)
_HARMLESS_NETWORK = re.compile(
    r"socket\.(gethostname|AF_\w+|SOCK_\w+|inet_\w+|timeout|error)|.*\.exceptions\..*|aiohttp\.web\..*"
)
_PICKLES = re.compile(
    r"(pickle|cPickle|_pickle|dill|cloudpickle)\.(loads?|Unpickler)|joblib\.load|shelve\.open|pandas\.read_pickle"
    r"|marshal\.loads?"
)
_DECODERS = re.compile(
    r"(base64\.\w*decode\w*|zlib\.decompress|gzip\.decompress|bz2\.decompress|lzma\.decompress|marshal\.loads?"
    r"|codecs\.decode|bytes\.fromhex|binascii\.\w+)"
)
_NATIVE = re.compile(r"ctypes\.(CDLL|PyDLL|WinDLL|OleDLL|cdll\.\w+|windll\.\w+.*)|cffi\.FFI|.*\.dlopen")
_TORCH = re.compile(
    r"torch\.(set_default_\w+|set_num_threads|set_num_interop_threads|set_float32_matmul_precision|set_grad_enabled"
    r"|use_deterministic_algorithms|set_deterministic_debug_mode|autograd\.set_detect_anomaly)"
    r"|torch\.backends\.\w+(\.\w+)*\.enable_\w+"
)
_ENVIRONMENT = re.compile(
    r"os\.(chdir|fchdir|putenv|unsetenv|umask|setuid|nice)|os\.environ\.(update|setdefault|pop|clear)|signal\.signal"
    r"|locale\.setlocale|sys\.(settrace|setprofile|setrecursionlimit|exit)|atexit\.register|asyncio\.set_event_loop_policy"
    r"|warnings\.filterwarnings|logging\.disable"
)
_DELETES = re.compile(r"os\.(remove|unlink|rmdir|removedirs)|shutil\.rmtree|send2trash\.\w+")
_WRITERS = re.compile(
    r"open|io\.open|os\.(makedirs|mkdir|rename|replace|symlink|link)|shutil\.(copy\w*|move)|.*\.(write_text|write_bytes|mkdir|"
    r"symlink_to|rename|touch)|urllib\.request\.urlretrieve"
)
_SIMPLE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("starts_process", _PROCESSES),
    ("reads_pickle", _PICKLES),
    ("loads_native", _NATIVE),
    ("changes_torch", _TORCH),
    ("changes_environment", _ENVIRONMENT),
    ("deletes_files", _DELETES),
    ("changes_path", re.compile(r"sys\.path\.(append|insert|extend|remove|pop|clear)|site\.addsitedir")),
    ("changes_modules", re.compile(r"sys\.modules\.(update|setdefault|pop|clear|__setitem__)")),
)
_PIP = re.compile(
    r"(^|[\s/\"'])(pip3?|uv|conda|mamba)(\.exe)?\s+(pip\s+)?(install|uninstall|download|sync)\b|^pip3?$"
)
_OUTSIDE = re.compile(r"^(/(?!/)|~|[A-Za-z]:[\\/]|\.\.[\\/])")
_HOMES = re.compile(r"(os\.path\.expanduser|pathlib\.Path\.home|Path\.home|os\.path\.expandvars)")

Names = Mapping[str, str]


def found_in_call(call: ast.Call, names: Names) -> Iterator[tuple[str, str]]:
    """Codes of what a call does, with what it calls."""
    function = dotted(call.func, names)
    if function is None:
        if not isinstance(call.func, ast.Attribute):
            return
        function = f"….{call.func.attr}"  # a method of what an expression gives
    for code, pattern in _SIMPLE:
        if pattern.fullmatch(function):
            yield code, f"{function}()"
    if _NETWORK.fullmatch(function) and not _HARMLESS_NETWORK.fullmatch(function):
        yield "uses_network", f"{function}()"
    for code, applies in _FURTHER:
        if applies(function, call, names):
            yield code, f"{function}()"


def _evaluates(function: str, call: ast.Call, names: Names) -> bool:
    known = function.removeprefix("builtins.")
    return known in ("eval", "exec", "compile") and not _is_hidden(function, call, names)


def _is_hidden(function: str, call: ast.Call, names: Names) -> bool:
    if function.removeprefix("builtins.") not in ("eval", "exec", "compile", "marshal.loads"):
        return False
    inner = (part for argument in call.args for part in ast.walk(argument) if isinstance(part, ast.Call))
    return any(_DECODERS.fullmatch(dotted(part.func, names) or "") for part in inner)


def _is_unsafe_load(function: str, call: ast.Call, names: Names) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    match function:
        case "torch.load":
            only = given.get("weights_only")
            return not (isinstance(only, ast.Constant) and only.value is True)
        case "numpy.load":
            allowed = given.get("allow_pickle")
            return isinstance(allowed, ast.Constant) and allowed.value is True
        case "yaml.load" | "yaml.load_all":
            loader = given.get("Loader") or (call.args[1] if len(call.args) > 1 else None)
            return loader is None or "Safe" not in (dotted(loader, names) or "")
        case "yaml.unsafe_load" | "yaml.full_load":
            return True
    return False


def _installs(function: str, call: ast.Call, names: Names) -> bool:
    if function in ("pip.main", "pip._internal.main", "pip._internal.cli.main.main", "ensurepip.bootstrap"):
        return True
    if not _PROCESSES.fullmatch(function):
        return False
    texts = list(texts_in(call))
    return any(_PIP.search(text) for text in (*texts, " ".join(texts)))


def _writes_outside(function: str, call: ast.Call, names: Names) -> bool:
    if not _WRITERS.fullmatch(function) or (function in ("open", "io.open") and not _opens_to_write(call)):
        return False
    places = [*call.args, call.func] if function not in ("open", "io.open") else call.args[:1]
    inner = [part for place in places for part in ast.walk(place)]
    starts = (part.value for part in inner if isinstance(part, ast.Constant) and isinstance(part.value, str))
    homes = (dotted(part.func, names) or "" for part in inner if isinstance(part, ast.Call))
    return any(_OUTSIDE.match(text) for text in starts) or any(_HOMES.fullmatch(home) for home in homes)


def _opens_to_write(call: ast.Call) -> bool:
    mode = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "mode"), None)
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and any(c in mode.value for c in "wax+")


def _imports_computed(function: str, call: ast.Call, names: Names) -> bool:
    if function not in ("__import__", "importlib.import_module", "importlib.util.spec_from_file_location"):
        return False
    return not (call.args and isinstance(call.args[0], ast.Constant))


def _sets_builtin(function: str, call: ast.Call, names: Names) -> bool:
    return (
        function == "setattr" and bool(call.args) and dotted(call.args[0], names) in ("builtins", "__builtins__")
    )


_FURTHER: tuple[tuple[str, Callable[[str, ast.Call, Names], bool]], ...] = (
    ("evaluates_text", _evaluates),
    ("hidden_code", _is_hidden),
    ("reads_pickle", _is_unsafe_load),
    ("installs_packages", _installs),
    ("writes_outside", _writes_outside),
    ("imports_computed", _imports_computed),
    ("changes_builtins", _sets_builtin),
)
