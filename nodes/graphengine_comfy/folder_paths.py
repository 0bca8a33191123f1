"""Where models, inputs and outputs are, in ComfyUI's words.

Folders that an engine is set to are found here, and packs may add more; those are known to packs alone.
"""

import mimetypes
import os
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from graphengine.node.api import FileRefused, Folders
from graphengine.node.files import FileNames, Files
from graphengine_comfy._surroundings import CONNECTION, folders
from graphengine_nodes.core.output_files import expand_prefix, output_place

#: File name endings that count as models.
supported_pt_extensions = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}

#: Kind of models → its folders and the endings that are listed. Packs read it and add to it.
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}

_KINDS = (
    "checkpoints loras vae text_encoders diffusion_models clip_vision style_models embeddings diffusers "
    "vae_approx controlnet gligen upscale_models hypernetworks photomaker classifiers model_patches audio_encoders"
)
#: The folders of the engine that is followed now, by kind.
_FOLLOWED: dict[str, list[str]] = {}
_LEGACY = {"unet": "diffusion_models", "clip": "text_encoders"}


def map_legacy(folder_name: str) -> str:
    """The present name of a kind that had another."""
    return _LEGACY.get(folder_name, folder_name)


# Folders


def get_output_directory() -> str:
    """The folder for results."""
    return _made(folders().output)


def get_temp_directory() -> str:
    """The folder for temporary files."""
    return _made(folders().temp)


def get_input_directory() -> str:
    """The first folder for input files."""
    roots = folders().input
    return _made(roots[0] if roots else _base() / "input")


def get_user_directory() -> str:
    """The folder for what users keep."""
    return _made(_base() / "user")


def get_directory_by_type(type_name: str) -> str | None:
    """The folder called "output", "temp" or "input"; None for another name."""
    match type_name:
        case "output":
            return get_output_directory()
        case "temp":
            return get_temp_directory()
        case "input":
            return get_input_directory()
        case _:
            return None


# Any: the interface of a module's names.
def __getattr__(name: str) -> Any:
    """Folders as names of the module; they follow the engine."""
    match name:
        case "base_path":
            return str(_base())
        case "models_dir":
            return str(_base() / "models")
        case "output_directory" | "temp_directory" | "input_directory" | "user_directory":
            return globals()[f"get_{name}"]()
        case _:
            raise AttributeError(f"module 'folder_paths' has no attribute {name!r}: graphengine has none yet")


def _base() -> Path:
    """The folder that holds the others, as in a ComfyUI installation."""
    return CONNECTION.folders.output.absolute().parent


def _made(folder: Path) -> str:
    # Packs list these folders without asking whether they exist; ComfyUI makes them when it starts.
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder.absolute())


# Models


def get_folder_paths(folder_name: str) -> list[str]:
    """The folders of a kind.

    Raises:
        KeyError: there is no such kind.
    """
    return list(folder_names_and_paths[map_legacy(folder_name)][0])


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Search another folder for a kind, which may be new; first if it is the default."""
    paths, _ = folder_names_and_paths.setdefault(map_legacy(folder_name), ([], set()))
    if full_folder_path in paths and is_default:
        paths.remove(full_folder_path)
    if full_folder_path not in paths:
        paths.insert(0 if is_default else len(paths), full_folder_path)


def get_filename_list(folder_name: str) -> list[str]:
    """The files of a kind, sorted, with their folders below that of the kind.

    Where the engine finds the same files, the list stands for them: as choices of an input it stays up to date.

    Raises:
        KeyError: there is no such kind.
    """
    kind = map_legacy(folder_name)
    paths, extensions = folder_names_and_paths[kind]
    names = {name for path in paths for name in recursive_search(path)[0]}
    listed = filter_files_extensions(names, extensions)
    if not extensions or paths != [str(root) for root in folders().models.get(kind, ())]:
        return listed
    suffixes = () if extensions == supported_pt_extensions else tuple(sorted(extensions))
    return FileNames(listed, Files(kind, suffixes))


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The path of a file of a kind, or None when there is none.

    Raises:
        FileRefused: the name leads out of the folder.
    """
    kind = map_legacy(folder_name)
    if kind not in folder_names_and_paths:
        return None
    roots = tuple(Path(path) for path in folder_names_and_paths[kind][0])
    # A kind of its own: "input" and the like are treated otherwise by `Folders`.
    found = Folders(models={"searched": roots}).find("searched", filename)
    return None if found is None else str(found)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """The path of a file of a kind.

    Raises:
        FileNotFoundError: there is none.
        FileRefused: the name leads out of the folder.
    """
    found = get_full_path(folder_name, filename)
    if found is None:
        raise FileNotFoundError(f"no file {filename!r} in {get_folder_paths(folder_name)}")
    return found


def recursive_search(
    directory: str, excluded_dir_names: Collection[str] | None = None
) -> tuple[list[str], dict[str, float]]:
    """The files below a folder, and when each folder in it was changed; hidden folders are passed over."""
    names: list[str] = []
    changed: dict[str, float] = {}
    seen: set[str] = set()
    for folder, below, files in os.walk(directory, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a loop of links
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if name[0] != "." and name not in (excluded_dir_names or ()))
        changed[folder] = os.path.getmtime(folder)
        names.extend(os.path.relpath(os.path.join(folder, name), directory) for name in sorted(files))
    return names, changed


def filter_files_extensions(files: Iterable[str], extensions: Collection[str]) -> list[str]:
    """The files with one of the endings, sorted; all of them without endings."""
    return sorted(file for file in files if not extensions or os.path.splitext(file)[1].lower() in extensions)


def filter_files_content_types(files: Iterable[str], content_types: Collection[str]) -> list[str]:
    """The files that are "image", "audio", "video" or "model" by their ending."""
    return [file for file in files if _content_type(file) in content_types]


def _content_type(file: str) -> str:
    if os.path.splitext(file)[1].lower() in {".glb", ".gltf", ".obj", ".fbx", ".stl"}:
        return "model"
    return (mimetypes.guess_type(file)[0] or "").partition("/")[0]


# Names in workflows


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """`"a.png [output]"` → `("a.png", folder for results)`; None for a name without a folder."""
    for kind in ("output", "input", "temp"):
        if name.endswith(f" [{kind}]"):
            return name[: -len(kind) - 3], get_directory_by_type(kind)
        if name.endswith(f"[{kind}]"):
            return name[: -len(kind) - 2], get_directory_by_type(kind)
    return name, None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """The path that a name in a workflow stands for, by default below the input folder; there need be no file.

    Raises:
        FileRefused: the name leads out of the folder.
    """
    name, folder = annotated_filepath(name)
    if folder is None and default_dir is None:
        found = folders().find("input", name)
        if found is not None:
            return str(found)
    root = Path(folder or default_dir or get_input_directory())
    path = Path(os.path.abspath(root / name))
    if not path.is_relative_to(root.absolute()) or not path.resolve().is_relative_to(root.resolve()):
        raise FileRefused(f"the file name {name!r} leads out of {root}", hint="use a name below the folder")
    return str(path)


def exists_annotated_filepath(name: str) -> bool:
    """Whether a name in a workflow stands for something that is there."""
    try:
        return os.path.exists(get_annotated_filepath(name))
    except FileRefused:
        return False


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Where to write numbered files: folder, stem, first free number, folder below `output_dir`, expanded prefix.

    The folder is made. Raises:
        FileRefused: the prefix leads out of the folder.
    """
    expanded = expand_prefix(filename_prefix, datetime.now(), width=image_width, height=image_height)
    place = output_place(Path(output_dir), expanded)
    place.folder.mkdir(parents=True, exist_ok=True)
    numbers = (_number(name, place.stem) for name in os.listdir(place.folder))
    return str(place.folder), place.stem, max(numbers, default=0) + 1, place.subfolder, expanded


def _number(name: str, stem: str) -> int:
    """7 for `stem_00007_.png`, 0 for another name."""
    digits = name.removeprefix(f"{stem}_").partition("_")[0] if name.startswith(f"{stem}_") else ""
    return int(digits) if digits.isdecimal() else 0


def _follow_engine() -> None:
    """Take up the folders of the engine in place of those of the one before; what packs added stays."""
    known = CONNECTION.folders.models
    for kind in dict.fromkeys([*_KINDS.split(), *map(map_legacy, known), *_FOLLOWED]):
        roots = [str(root) for root in known.get(kind) or (_base() / "models" / kind,)]
        paths, _ = folder_names_and_paths.setdefault(kind, ([], set(supported_pt_extensions)))
        before = _FOLLOWED.get(kind, [])
        first = min((paths.index(path) for path in before if path in paths), default=0)
        added = [
            [path for path in part if path not in (*before, *roots)] for part in (paths[:first], paths[first:])
        ]
        paths[:] = [*added[0], *roots, *added[1]]
        _FOLLOWED[kind] = roots
    folder_names_and_paths.setdefault("custom_nodes", ([str(_base() / "custom_nodes")], set()))
    folder_names_and_paths.setdefault("configs", ([str(_base() / "models" / "configs")], {".yaml"}))


CONNECTION.changed.append(_follow_engine)
_follow_engine()
