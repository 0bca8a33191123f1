"""The models that packs bring along."""

from collections.abc import Iterable
from dataclasses import replace

from graphengine.node.folders import Folders
from graphengine.packs.index import IndexedPack
from graphengine.packs.load import LoadedPack


def with_shipped_models(folders: Folders, packs: Iterable[LoadedPack | IndexedPack]) -> Folders:
    """The folders with the models that packs bring along searched last."""
    models = dict(folders.models)
    for pack in packs:
        for kind in sorted(pack.models.iterdir()) if pack.models is not None and pack.models.is_dir() else ():
            if kind.is_dir():
                models[kind.name] = (*models.get(kind.name, ()), kind)
    return replace(folders, models=models)
