"""Node definitions from the indexes of packs alone, for commands that run nothing and must be quick."""

from collections.abc import Mapping
from pathlib import Path

from graphengine.cli.definitions import read_definitions
from graphengine.cli.pack_folders import PackFolders
from graphengine.node.definition import NodeDefinition
from graphengine.node.registry import NodeRegistry


def known_nodes(file: Path, definitions: Path | None, places: PackFolders) -> Mapping[str, NodeDefinition]:
    """Definitions as the last import of each pack left them, or those of a saved `/object_info`.

    An installed pack that has no index is imported, which gives it one; a custom pack is not: its nodes are not
    known then, and their values have no names.

    Raises:
        SettingsError: a folder or the definitions cannot be read.
        PackError: an installed pack cannot be imported.
    """
    if definitions is not None:
        return read_definitions(definitions)
    # a tenth of a second to import, which a comparison of documents without packs can do without
    from graphengine.packs.definitions import PackDefinitions
    from graphengine.packs.discover import custom_packs, installed_packs
    from graphengine.packs.load import LoadedPack
    from graphengine.packs.records import Records

    settings = places.settings(workflow=file)
    installed = installed_packs()
    packs = PackDefinitions([*installed, *custom_packs(settings.custom_nodes)], Records(settings.packs))
    known = [packs.readable(pack) or packs.load(pack) for pack in installed]
    loaded = (pack for pack in known if isinstance(pack, LoadedPack))
    return NodeRegistry((definition for pack in loaded for definition in pack.definitions), packs)
