"""Where packs are: the options that commands share which run nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphengine.cli.option_groups import OptionGroup
from graphengine.cli.options import BaseDirOption, CustomNodesOption
from graphengine.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class PackFolders(OptionGroup):
    """The base folder, and folders of packs in place of those below it."""

    base_dir: BaseDirOption = None
    custom_nodes: CustomNodesOption = None

    def settings(
        self, *, models: Sequence[Path] | None = None, cache: Path | None = None, workflow: Path | None = None
    ) -> Settings:
        """The settings with these folders; no store of outputs is opened.

        Raises:
            SettingsError: a folder or the project file cannot be used.
        """
        return load_settings(
            base_dir=self.base_dir,
            custom_nodes=self.custom_nodes or (),
            models=models or (),
            cache=cache,
            runs_nothing=True,
            workflow=workflow,
            environ=os.environ,
        )
