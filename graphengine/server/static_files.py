"""The editor's own files: from the package `comfyui-frontend-package` when it is installed, never vendored.

These files are trusted: unlike the files of users they are served as what they are, pages and scripts included.
"""

import pkgutil
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from graphengine.errors import SettingsError
from graphengine.server.endpoint import FILE_ANSWERS, Content, Endpoint, routes
from graphengine.server.paths import below, file_parts
from graphengine.server.state import SETTINGS

EDITOR_PACKAGE = "comfyui_frontend_package"
_INSTALL = "pip install 'graphengine-comfy[ui]'"

_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gif": "image/gif",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
#: A style sheet that the editor's page links, for whoever wants to add one; without it, it is empty.
_OWN_STYLE = ("user.css",)
_TEXTS = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
_WITHOUT_EDITOR = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>graphengine</title></head>
<body><h1>graphengine</h1>
<p>The server runs. It shows no editor: install it with <code>{_INSTALL}</code> and start
<code>graphengine serve --ui</code>.</p>
<p>What clients can ask is described in <a href="openapi.json">openapi.json</a>.</p></body></html>
"""


def editor_folder() -> Path:
    """The folder of the installed editor.

    Raises:
        SettingsError: the editor is not installed.
    """
    folder = next((folder for folder in _package_folders([EDITOR_PACKAGE], "static")), None)
    if folder is None or not (folder / "index.html").is_file():
        raise SettingsError("the editor is not installed", hint=_INSTALL)
    return folder


def template_folders() -> tuple[Path, ...]:
    """The folders of example workflows of the packages `comfyui-workflow-templates…` that are installed."""
    names = (module.name for module in pkgutil.iter_modules())
    return _package_folders(sorted(n for n in names if n.startswith("comfyui_workflow_templates")), "templates")


def docs_folders() -> tuple[Path, ...]:
    """The folder of the nodes' help, when the package `comfyui-embedded-docs` is installed."""
    return _package_folders(["comfyui_embedded_docs"], "docs")


def _package_folders(packages: list[str], name: str) -> tuple[Path, ...]:
    """Folders of that name in installed packages, which are not imported for it."""
    specs = (find_spec(package) for package in packages)
    places = (Path(place, name) for spec in specs if spec for place in spec.submodule_search_locations or ())
    return tuple(place for place in places if place.is_dir())


def trusted_file(path: Path) -> web.FileResponse:
    """A file of the editor or of a pack, served as what it is.

    Raises:
        web.HTTPNotFound: there is no such file.
    """
    if not path.is_file():
        raise web.HTTPNotFound(text=f"no file {path.name!a}")
    media_type = _TYPES.get(path.suffix.lower(), "application/octet-stream")
    charset = "; charset=utf-8" if media_type.startswith(_TEXTS) else ""
    return web.FileResponse(path, headers={"Content-Type": media_type + charset})


TEMPLATES = web.AppKey("template_folders", tuple[Path, ...])
DOCS = web.AppKey("docs_folders", tuple[Path, ...])


def prepare(app: web.Application) -> None:
    """Set what the handlers keep in the application."""
    has_editor = app[SETTINGS].web_root is not None
    app[TEMPLATES] = template_folders() if has_editor else ()
    app[DOCS] = docs_folders() if has_editor else ()


async def index(request: web.Request) -> web.StreamResponse:
    """The editor; without it, a page that tells how to install it."""
    root = request.app[SETTINGS].web_root
    if root is None:
        return web.Response(text=_WITHOUT_EDITOR, content_type="text/html")
    return trusted_file(root / "index.html")


async def editor_file(request: web.Request) -> web.StreamResponse:
    """A file of the editor."""
    root = request.app[SETTINGS].web_root
    parts = file_parts(request.match_info["file"])
    if root is None:
        raise web.HTTPNotFound(text=f"there is nothing at {request.path!a}")
    if parts == _OWN_STYLE and not below(root, parts).is_file():
        return web.Response(text="", content_type="text/css")
    return trusted_file(below(root, parts))


async def template(request: web.Request) -> web.StreamResponse:
    """A file of the example workflows; their index is empty when none are installed."""
    parts = file_parts(request.match_info["file"])
    found = _first(request.app[TEMPLATES], parts)
    if found is None and parts == ("index.json",):
        return web.json_response([])
    if found is None and parts == ("index_logo.json",):
        return web.json_response({})
    return trusted_file(found or Path(parts[-1]))


async def help_text(request: web.Request) -> web.StreamResponse:
    """A file of the nodes' help."""
    parts = file_parts(request.match_info["file"])
    found = _first(request.app[DOCS], parts)
    return trusted_file(found or Path(parts[-1]))


def _first(folders: tuple[Path, ...], parts: tuple[str, ...]) -> Path | None:
    return next((path for folder in folders if (path := below(folder, parts)).is_file()), None)


ENDPOINTS = (
    Endpoint("GET", "/", index, answers={200: Content(media_type="text/html")}),
    Endpoint("GET", "/templates/{file:.+}", template, answers=FILE_ANSWERS),
    Endpoint("GET", "/docs/{file:.+}", help_text, answers=FILE_ANSWERS),
    Endpoint("GET", "/{file:(?!api/|internal/).+}", editor_file, answers=FILE_ANSWERS),
)
#: Served at these paths only, and last: the editor's own files may have any name.
ROUTES = routes(ENDPOINTS)
