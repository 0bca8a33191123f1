"""`graphengine serve`: the HTTP and WebSocket protocol of a ComfyUI server, for its editor and its clients."""

import logging
import os
from collections.abc import Mapping, MutableMapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.compute_options import ComputeOptions
from graphengine.cli.console import complain, problem_lines, say
from graphengine.cli.history_options import HistoryOptions
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import (
    BaseDirOption,
    CacheOption,
    CustomNodesOption,
    DebugOption,
    DeviceOption,
    ModelsOption,
    NoCacheOption,
    examples,
    open_engine,
)
from graphengine.cli.policy_options import JobsOption, MemoryOption, RetriesOption, TimeoutOption
from graphengine.cli.remote_options import RemoteOptions
from graphengine.cli.trust_options import TrustOptions
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.execution.policy import RunOptions
from graphengine.node.api import PreviewMethod
from graphengine.settings import Settings, load_settings

if TYPE_CHECKING:
    from graphengine.server.state import ServerSettings

EXAMPLES = examples(
    "graphengine serve",
    "graphengine serve --ui --base-dir ~/ComfyUI",
    "graphengine serve --listen --token $(openssl rand -hex 16)",
    "graphengine serve --port 9000 --output-directory pictures --cpu",
)

#: Options that may stand without a value, and what they mean then.
_BARE = {"--listen": "0.0.0.0", "--enable-cors-header": "*"}
_ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"

ListenOption = Annotated[
    str,
    typer.Option(
        "--listen",
        metavar="[IP]",
        help="Address to listen on; without IP on all of them. Beyond this machine it needs --token.",
    ),
]
PortOption = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]
UiOption = Annotated[bool, typer.Option("--ui", help="Serve the editor of the package comfyui-frontend-package.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="GRAPHENGINE_TOKEN",
        help="What every request must carry: ?token= once in a browser, or the header Authorization: Bearer.",
    ),
]
OutputDirectoryOption = Annotated[
    Path | None, typer.Option("--output-directory", "--output", metavar="DIR", help="Folder for the results.")
]
InputDirectoryOption = Annotated[
    Path | None, typer.Option("--input-directory", "--input", metavar="DIR", help="Folder of input pictures.")
]
UserDirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--user-directory",
        metavar="DIR",
        help="Folder of settings, saved workflows, queue and history. Default: user in the base folder.",
    ),
]
ExtraPathsOption = Annotated[
    Path | None,
    typer.Option("--extra-model-paths-config", metavar="FILE", help="YAML file that names more model folders."),
]
LruOption = Annotated[
    int | None,
    typer.Option("--cache-lru", metavar="N", min=1, help="Keep the results of at most N nodes in memory."),
]
PreviewOption = Annotated[
    PreviewMethod,
    typer.Option(
        "--preview-method",
        help="How samplers show their steps: taesd by a decoder of models/vae_approx, latent2rgb coarsely, auto "
        "by the better one that there is.",
    ),
]
CpuOption = Annotated[bool, typer.Option("--cpu", help="Compute on the CPU, as --device cpu.")]
CudaMallocOption = Annotated[
    bool, typer.Option("--disable-cuda-malloc", help="Use torch's own allocator of CUDA memory.")
]
CorsOption = Annotated[
    str | None,
    typer.Option(
        "--enable-cors-header",
        metavar="[ORIGIN]",
        help="Let pages of this origin call the server; without ORIGIN those of any.",
    ),
]
UploadOption = Annotated[
    float, typer.Option("--max-upload-size", metavar="MB", min=0.001, max=1e6, help="Largest upload.")
]


def with_values(args: list[str]) -> list[str]:
    """The arguments of a whole command line; for `serve`, options whose value was left out get one."""
    filled: list[str] = []
    if next((arg for arg in args if not arg.startswith("-")), None) != "serve":
        return args
    for arg, following in zip(args, [*args[1:], "--"], strict=True):
        filled.append(arg)
        if arg in _BARE and following.startswith("-"):
            filled.append(_BARE[arg])
    return filled


@with_option_groups
def command(
    *,
    listen: ListenOption = "127.0.0.1",
    port: PortOption = 8188,
    ui: UiOption = False,
    token: TokenOption = None,
    base_dir: BaseDirOption = None,
    output_directory: OutputDirectoryOption = None,
    input_directory: InputDirectoryOption = None,
    user_directory: UserDirectoryOption = None,
    models: ModelsOption = None,
    extra_model_paths: ExtraPathsOption = None,
    custom_nodes: CustomNodesOption = None,
    cache: CacheOption = None,
    no_cache: NoCacheOption = False,
    sharing: RemoteOptions,
    cache_lru: LruOption = None,
    device: DeviceOption = None,
    cpu: CpuOption = False,
    preview_method: PreviewOption = "auto",
    jobs: JobsOption = 1,
    node_timeout: TimeoutOption = None,
    retries: RetriesOption = 0,
    memory_budget: MemoryOption = None,
    computing: ComputeOptions,
    trusting: TrustOptions,
    keeping: HistoryOptions,
    disable_cuda_malloc: CudaMallocOption = False,
    cors: CorsOption = None,
    max_upload_size: UploadOption = 100,
    debug: DebugOption = False,
) -> None:
    """Serve ComfyUI's protocol over HTTP and WebSocket.

    Clients of a ComfyUI server queue their workflows here. Queue and history survive a restart. Ctrl-C stops: a
    prompt that runs is stopped, stays in the queue, and goes on from the cache at the next start.
    """
    _prepare(own_allocator=disable_cuda_malloc, debug=debug)
    settings = load_settings(
        base_dir=base_dir,
        input=input_directory,
        output=output_directory,
        models=models or (),
        extra_model_paths=extra_model_paths,
        custom_nodes=custom_nodes or (),
        cache=cache,
        no_cache=no_cache,
        remote_cache=sharing.remote_cache,
        remote_readonly=sharing.remote_readonly,
        memory_entries=cache_lru,
        memory_budget=memory_budget,
        model_memory=computing.model_memory,
        fast=computing.fast,
        device=_device(device, cpu=cpu),
        environ=os.environ,
    )
    computing.tell(settings)
    user, run = user_folder(user_directory, base_dir), RunOptions(jobs, node_timeout, retries, preview_method)
    chosen = _server_settings(user, run, listen, port, token, cors, ui=ui, megabytes=max_upload_size)
    _serve(keeping.applied(trusting.applied(settings)), chosen)


def _server_settings(
    user: Path,
    run: RunOptions,
    host: str,
    port: int,
    token: str | None,
    cors: str | None,
    *,
    ui: bool,
    megabytes: float,
) -> "ServerSettings":
    from graphengine.server.state import ServerSettings  # brings aiohttp, which no other command needs
    from graphengine.server.static_files import editor_folder

    return ServerSettings(
        user=user,
        database=user / "queue.sqlite3",
        host=host,
        port=port,
        token=token,
        cors_origin=cors,
        web_root=editor_folder() if ui else None,
        max_upload_bytes=int(megabytes * 2**20),
        run=run,
    )


def _prepare(*, own_allocator: bool, debug: bool) -> None:
    require_aiohttp()
    log_to_stderr(debug=debug)
    if own_allocator:
        use_own_allocator(os.environ)


def require_aiohttp() -> None:
    """Refuse to start without the package that the server is made with.

    Raises:
        GraphEngineError: it is not installed.
    """
    if find_spec("aiohttp") is None:
        hint = "pip install 'graphengine-comfy[server]'"
        raise GraphEngineError("the server needs the package aiohttp", hint=hint)


def _device(name: str | None, *, cpu: bool) -> str | None:
    if cpu and name not in (None, "cpu"):
        raise typer.BadParameter("it contradicts --device", param_hint="--cpu")
    return "cpu" if cpu else name


def _serve(settings: Settings, chosen: "ServerSettings") -> None:
    from graphengine.server.listening import serve  # as above
    from graphengine.server.safety import check_settings

    check_settings(chosen)  # before packs are loaded, which takes time
    with open_engine(settings) as engine:
        for line in problem_lines(engine.load_all_packs()):
            complain(line)
        serve(engine, chosen, lambda address: _announce(address, chosen.token))


def _announce(address: str, token: str | None) -> None:
    where = address if token is None else f"{address}/?token=… (the token you gave)"
    say(f"graphengine serves at {where}; Ctrl-C stops")


def user_folder(named: Path | None, base_dir: Path | None) -> Path:
    """The folder of settings, workflows, queue and history; it is made when something is written.

    Raises:
        SettingsError: the folder is a file.
    """
    folder = (named or (base_dir or Path.cwd()) / "user").expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"the user folder {str(folder)!r} is a file", hint="give the path of a folder")
    return folder


def use_own_allocator(environ: MutableMapping[str, str]) -> None:
    """Have torch use its own CUDA allocator, whatever the environment says; torch reads it when CUDA starts."""
    options = _allocator_options(environ)
    environ[_ALLOCATOR] = ",".join([*options, "backend:native"])


def _allocator_options(environ: Mapping[str, str]) -> list[str]:
    given = environ.get(_ALLOCATOR, "").split(",")
    return [option for option in given if option and not option.startswith("backend:")]


class _StderrHandler(logging.Handler):
    """Writes log lines to stderr with control characters shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        complain(self.format(record))


def log_to_stderr(*, debug: bool) -> None:
    """Write what the server logs to stderr, and with `debug` what it does in detail."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("graphengine").setLevel(logging.DEBUG if debug else logging.INFO)
