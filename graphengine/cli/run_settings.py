"""The settings of commands that run workflows, from the groups of options that these share."""

import os
from dataclasses import dataclass
from pathlib import Path

from graphengine.cli.compute_options import ComputeOptions
from graphengine.cli.option_groups import OptionGroup
from graphengine.cli.options import (
    BaseDirOption,
    CacheOption,
    CustomNodesOption,
    DeviceOption,
    InputOption,
    ModelsOption,
    NoCacheOption,
    OutputOption,
)
from graphengine.cli.policy_options import PolicyOptions
from graphengine.cli.remote_options import RemoteOptions
from graphengine.cli.trust_options import TrustOptions
from graphengine.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class ProjectPlaces(OptionGroup):
    """Where a project has its files, and on which device nodes run."""

    base_dir: BaseDirOption = None
    input: InputOption = None
    models: ModelsOption = None
    custom_nodes: CustomNodesOption = None
    cache: CacheOption = None
    device: DeviceOption = None


@dataclass(frozen=True, slots=True)
class PlaceOptions(ProjectPlaces):
    """The same, and where outputs go."""

    output: OutputOption = None
    no_cache: NoCacheOption = False


def run_settings(
    workflow: Path,
    places: PlaceOptions,
    sharing: RemoteOptions,
    policy: PolicyOptions,
    computing: ComputeOptions,
    trusting: TrustOptions,
) -> Settings:
    """The settings for running a workflow file.

    Raises:
        SettingsError: a folder, a size or the project file cannot be used.
    """
    settings = load_settings(
        base_dir=places.base_dir,
        input=places.input,
        output=places.output,
        models=places.models or (),
        custom_nodes=places.custom_nodes or (),
        cache=places.cache,
        no_cache=places.no_cache,
        remote_cache=sharing.remote_cache,
        remote_readonly=sharing.remote_readonly,
        device=places.device,
        memory_budget=policy.memory_budget,
        model_memory=computing.model_memory,
        fast=computing.fast,
        workflow=workflow,
        environ=os.environ,
    )
    return trusting.applied(settings)
