"""Rebuilding what a lock says on another machine: planned first, then done in the order packages, packs, models.

Nothing of the user's is overwritten: what is there and differs stays, and is told.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graphengine.errors import Problem
from graphengine.locking.downloading import Progress
from graphengine.locking.locking import LockedProject
from graphengine.locking.machine import engine_differences, locked_engine
from graphengine.locking.restore_models import ModelStep, bring_model, plan_models
from graphengine.locking.restore_packages import bring_packages, plan_packages
from graphengine.locking.restore_packs import PackStep, bring_pack, plan_packs
from graphengine.locking.schema import Lock
from graphengine.packs.discover import custom_packs
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.requiring import Wishes
from graphengine.packs.installing.resolving import Pin


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What is missing and will be brought, and the problems of what cannot be."""

    packages: tuple[Pin, ...]
    packs: tuple[PackStep, ...]
    models: tuple[ModelStep, ...]
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to bring."""
        return not (self.packages or self.packs or self.models)

    def lines(self) -> Iterator[str]:
        """What would be done, as text."""
        for pin in self.packages:
            yield f"install package {pin.name} {pin.version} (by hash)"
        for pack in self.packs:
            yield f"fetch pack {pack.name} from {pack.source.place} at {(pack.locked.commit or '')[:12]}"
        for model in self.models:
            size = f"{model.model.size:,} bytes"
            if model.found is not None:
                yield f"link model {model.place} ({size}) to {model.found}"
            else:
                yield f"download model {model.place} ({size}) from {model.urls[0]}"


@dataclass(frozen=True)
class Restorer:
    """Restores a project. `sources` are folders that may hold models; `mirrors` are `OLD=NEW` for addresses."""

    project: LockedProject
    custom_nodes: Path
    models: Path
    environment: Environment
    wishes: Wishes
    sources: tuple[Path, ...] = ()
    mirrors: tuple[str, ...] = ()

    def plan(self, lock: Lock) -> RestorePlan:
        """What is missing here; changes nothing."""
        engine = self.project.engine
        folders = (self.custom_nodes, *self.project.settings.custom_nodes)
        packages, refused = plan_packages(lock, self.environment, self.wishes.allow_change)
        packs, untaken = plan_packs(lock, custom_packs(dict.fromkeys(folders)), self.custom_nodes, self.mirrors)
        models, absent = plan_models(lock, engine.folders, self.models, self.sources, engine.memo)
        machine = [
            problem
            for problem in engine_differences(lock, locked_engine(engine), dict(lock.numerics))
            if not problem.message.startswith("torch ")  # a package like others
        ]
        return RestorePlan(tuple(packages), tuple(packs), tuple(models), (*machine, *refused, *untaken, *absent))

    def carry_out(self, plan: RestorePlan, tell: Callable[[str], None], progress: "TellProgress") -> list[Problem]:
        """Do what was planned; the problems that came up. What fails does not stop the rest."""
        problems: list[Problem] = []
        if plan.packages:
            tell(f"installing {len(plan.packages)} packages")
            failed, warned = bring_packages(list(plan.packages), self.custom_nodes, self.environment, self.wishes)
            for line in warned:
                tell(f"warning: {line}")
            problems += [failed] if failed is not None else []
        for pack in plan.packs:
            tell(f"fetching pack {pack.name}")
            problems += _present(bring_pack(pack, self.custom_nodes, self.wishes.limits))
        for model in plan.models:
            tell(f"{'linking' if model.found else 'downloading'} model {model.place}")
            problems += _present(bring_model(model, progress(model)))
        return problems


#: Gives what is told of the progress of a model.
TellProgress = Callable[[ModelStep], Progress]


def _present(*problems: Problem | None) -> Iterable[Problem]:
    return (problem for problem in problems if problem is not None)
