"""The composition root and the Python API: settings in, wired parts out.

```python
engine = Engine.from_settings(load_settings(workflow=path, environ=os.environ))
result = engine.run(engine.read(path).workflow)
```
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from graphengine.cache.disk import DiskStore
from graphengine.cache.hashing import FileMemo, MemoryMemo, fingerprint_file
from graphengine.cache.store import CacheStore, MemoryStore
from graphengine.cache.tiers import tiers
from graphengine.errors import PackError, Problem, ValidationFailed
from graphengine.execution.checks import check_by_nodes
from graphengine.execution.devices import best_device, device_class, free_accelerators, known_device_class
from graphengine.execution.dynamic_prompt import DynamicPrompt
from graphengine.execution.environment import Environment
from graphengine.execution.events import Listener
from graphengine.execution.executor import Executor, LocalExecutor
from graphengine.execution.hidden import RunExtra
from graphengine.execution.hooks import RunHooks, never, silent
from graphengine.execution.keys import NodeKeys
from graphengine.execution.known import KnownNodes
from graphengine.execution.model_budget import model_budget
from graphengine.execution.numerics import AS_IMPORTED, Numerics
from graphengine.execution.policy import RunOptions
from graphengine.execution.result import RunResult
from graphengine.execution.run import Run
from graphengine.execution.shown import SavedFiles
from graphengine.execution.threads import ThreadExecutor
from graphengine.foresight import Foresight, foresee, past_runs
from graphengine.graph.advice import with_sources
from graphengine.graph.graph import build_graph
from graphengine.graph.plan import Plan, make_plan
from graphengine.graph.validate import output_nodes, runnable_targets, validate
from graphengine.isolation.hosts import isolated_packs
from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.memory import DeviceMemory
from graphengine.node.registry import NodeRegistry
from graphengine.packs.definitions import PackDefinitions, SeenByPacks
from graphengine.packs.discover import Pack, custom_packs, installed_packs
from graphengine.packs.load import LoadedPack
from graphengine.packs.pack_problems import (
    indexed_class,
    pack_problem,
    told_once,
    unless_outdated,
    unless_provided,
    unless_trusted,
    untrusted_packs,
)
from graphengine.packs.records import Records
from graphengine.packs.shipped import with_shipped_models
from graphengine.packs.stand_ins import Surroundings
from graphengine.packs.trust import Trust
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.history import History
from graphengine.recording.recorded import RecordPlaces, recorded, with_run_id
from graphengine.settings import Settings
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.formats import Conversion, DocumentKind, load_workflow
from graphengine.workflow.models import NodeId, Workflow


@dataclass(frozen=True, slots=True)
class Engine:
    """Definitions, a store, an executor and folders that belong together.

    What nodes take and give is known from the index of their packs. Packs in `custom_nodes` run code of strangers
    when they are imported, so only `run` imports them (or `load_packs`): when one of their nodes is called, or
    when a pack that the workflow names has no index; and only those that `Settings.trust` allows, by default none.
    Installed packs without an index are imported at once.
    """

    registry: NodeRegistry
    store: CacheStore
    folders: Folders
    executor: Executor
    device: str | None = None
    custom: tuple[Pack, ...] = ()
    memo: FileMemo | None = None
    packs: PackDefinitions = field(default_factory=PackDefinitions)
    records: RecordFolder | None = None
    numerics: Numerics = AS_IMPORTED
    memory: DeviceMemory = field(default_factory=DeviceMemory)
    history: History | None = None
    strip_metadata: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> "Engine":
        """Wire the default parts.

        Raises:
            SettingsError: the cache folder cannot be used.
            PackError: an installed pack cannot be loaded.
        """
        installed, custom = installed_packs(), settings.project.ordered(custom_packs(settings.custom_nodes))
        records = Records(settings.packs)
        trust = Trust(settings.trust, records)
        packs = PackDefinitions([*installed, *custom], records, trust, settings.importing)
        packs.elsewhere = isolated_packs(settings, custom)
        known = [packs.readable(pack) or packs.load(pack) for pack in installed]
        loaded = (pack for pack in known if isinstance(pack, LoadedPack))
        registry = NodeRegistry((definition for pack in loaded for definition in pack.definitions), packs)
        folders = with_shipped_models(settings.folders, known)
        packs.surroundings = Surroundings(folders, SeenByPacks(registry))
        memory = MemoryStore(settings.memory_bytes, settings.memory_entries)
        disk = DiskStore(settings.cache) if settings.cache is not None else None
        return cls(
            registry=registry,
            store=tiers(memory, disk, settings.remote),
            folders=folders,
            executor=LocalExecutor(),
            device=settings.device,
            custom=tuple(custom),
            memo=disk or MemoryMemo(),
            packs=packs,
            records=RecordFolder(settings.cache / "runs") if settings.cache is not None else None,
            numerics=settings.numerics,
            memory=DeviceMemory(model_budget(settings.model_memory)),
            history=History(settings.history) if settings.history is not None else None,
            strip_metadata=settings.strip_metadata,
        )

    def read(self, path: Path, wanted: DocumentKind | None = None) -> Conversion:
        """The workflow in a file; a UI document is converted with the definitions at hand.

        A file may hold two documents. Unless one is wanted, the API document counts, which is what ran.

        Raises:
            WorkflowFormatError: the file is no workflow that can be read, or does not hold the wanted document.
        """
        return load_workflow(path, self.registry, wanted)

    def validate(self, workflow: Workflow, targets: Collection[NodeId] | None = None) -> list[Problem]:
        """All that is wrong with the workflow, and where to get what is missing. Runs no code of custom packs.

        The choices of a node that is known from an index may have changed: a value that is none is a warning.
        """
        found = validate(workflow, self.registry, self.folders, targets)
        problems = with_sources(found, workflow, self.folders)
        providers = self._providers(problems)
        problems = [unless_outdated(problem, self.registry) for problem in problems]
        if providers:
            problems = [unless_provided(problem, providers, self.packs.trust) for problem in problems]
        return [*self._untrusted(node.class_type for node in workflow.nodes.values()), *problems]

    def _untrusted(self, class_types: Iterable[str]) -> list[Problem]:
        """The packs known from an index that may not be imported."""
        return untrusted_packs(dict.fromkeys(class_types), self.registry, self.packs.trust)

    def _providers(self, problems: Iterable[Problem]) -> dict[str, Pack]:
        """The custom packs that seem to define unknown nodes, by node type."""
        unknown = {p.class_type for p in problems if p.code == "unknown_node" and p.class_type is not None}
        return {name: pack for pack, names in self._named(unknown).items() for name in names}

    def _named(self, class_types: Collection[str]) -> dict[Pack, set[str]]:
        """The custom packs whose source names any of these node types, with those it names."""
        return self.packs.mentioning(self.custom, class_types)

    def plan(self, workflow: Workflow, targets: Collection[NodeId] | None = None) -> Plan:
        """What would run, in order.

        Raises:
            ValidationFailed: the workflow has errors.
        """
        with collector_paused():
            return make_plan(build_graph(workflow, self.registry, self.folders, targets))

    def check(self, workflow: Workflow, targets: Collection[NodeId] | None = None) -> list[Problem]:
        """All that a run would find wrong before it starts.

        The custom packs that the workflow names are loaded, and the nodes of targets that have no error are asked
        what they say about their inputs (`VALIDATE_INPUTS`).
        """
        broken = self.load_packs({node.class_type for node in workflow.nodes.values()})
        found = self.validate(workflow, targets)
        if self._load_doubted(found):
            found = self.validate(workflow, targets)
        problems = told_once(broken, found)
        good = self._runnable(workflow, targets, problems)
        return [*problems, *check_by_nodes(self.plan(workflow, good))] if good else problems

    def _runnable(
        self, workflow: Workflow, targets: Collection[NodeId] | None, problems: Iterable[Problem]
    ) -> tuple[NodeId, ...]:
        goals = output_nodes(workflow, self.registry) if targets is None else targets
        return runnable_targets(workflow, goals, problems)

    def run(
        self,
        workflow: Workflow,
        *,
        targets: Collection[NodeId] | None = None,
        on_event: Listener = silent,
        is_cancelled: Callable[[], bool] = never,
        extra: RunExtra | None = None,
        options: RunOptions | None = None,
        partial: bool = False,
        record_as: Path | None = None,
    ) -> RunResult:
        """Run the workflow; nodes whose outputs the store holds are not executed.

        With `partial`, targets without an error run although others have one; the result has the problems.
        `record_as` is the file whose run this is, for `foresee`; without one it is known by the workflow's shape.

        Raises:
            ValidationFailed: the workflow has errors, or a node refused its inputs. With `partial`: no target is
                without.
            NodeExecutionError: a node raised.
            RunCancelled: `is_cancelled` answered True.
        """
        problems: list[Problem] = []
        if partial:
            problems = self.check(workflow, targets)
            targets = self._runnable(workflow, targets, problems)
            if not targets:
                raise ValidationFailed(problems)
        plan = self._checked_plan(workflow, targets)
        hooks = RunHooks(
            on_event, is_cancelled, self._choose_device, self._free_memory, self.numerics, self.memory
        )
        options = options or RunOptions()
        with self._executor_for(options) as executor:
            run = Run(
                known=KnownNodes(plan, self._keys(), self._prompt(workflow), self._define),
                store=self.store,
                executor=executor,
                saved=SavedFiles(self.folders, self.memo),
                options=options,
                extra=with_run_id(extra, self.history, strip_metadata=self.strip_metadata),
                hooks=hooks,
            )
            try:
                with recorded(run, RecordPlaces(self.records, self.history, self.custom), record_as):
                    return replace(run.execute(), problems=tuple(problems))
            finally:
                self.store.flush()
                self.executor.instances.keep(workflow.nodes.keys())

    def foresee(
        self,
        workflow: Workflow,
        targets: Collection[NodeId] | None = None,
        *,
        record_as: Path | None = None,
        ask: bool = False,
    ) -> Foresight:
        """What a run would do, and what past runs of the file did. With `ask`, `IS_CHANGED` of nodes is called.

        Raises:
            ValidationFailed: the workflow has errors.
        """
        keys = self._keys(known_device_class)  # where no run has asked torch, nothing is cached either
        known = KnownNodes(self.plan(workflow, targets), keys, self._prompt(workflow), self._define)
        past = past_runs(self.records, workflow, record_as)
        return foresee(known, self.store, SavedFiles(self.folders, self.memo), past, record_as, ask=ask)

    def _checked_plan(self, workflow: Workflow, targets: Collection[NodeId] | None) -> Plan:
        """The plan, with the packs loaded that it needs and the nodes asked about their inputs."""
        broken = self.load_packs({node.class_type for node in workflow.nodes.values()})
        try:
            plan = self._current_plan(workflow, targets)
        except ValidationFailed as failed:
            found = with_sources(failed.problems, workflow, self.folders)
            providers = self._providers(found)
            found = [unless_trusted(problem, providers, self.packs.trust) for problem in found]
            raise ValidationFailed(told_once(broken, found)) from failed
        definitions = (plan.graph.definitions[node_id].class_type for node_id in plan.steps)
        if problems := self._untrusted(definitions) or check_by_nodes(plan):
            raise ValidationFailed(problems)
        return plan

    def _current_plan(self, workflow: Workflow, targets: Collection[NodeId] | None) -> Plan:
        """The plan; packs that are known from an index are imported before the workflow is called wrong.

        Raises:
            ValidationFailed: the workflow has errors.
        """
        try:
            return self.plan(workflow, targets)
        except ValidationFailed as failed:
            if not self._load_doubted(failed.problems):
                raise
        return self.plan(workflow, targets)

    def free(self, *, models: bool = False, outputs: bool = False) -> None:
        """Let go of what is kept in memory: loaded models, which are outputs of their loaders, or all outputs."""
        if models or outputs:
            self._free_memory()

    @contextmanager
    def _executor_for(self, options: RunOptions) -> Iterator[Executor]:
        """The engine's executor, or threads where more than one node runs at once or has its time limited."""
        if options.jobs == 1 and options.node_timeout is None:
            yield self.executor
            return
        threads = ThreadExecutor(options.jobs, self.executor.instances)
        try:
            yield threads
        finally:
            threads.close()

    def _fingerprint(self, path: Path) -> str:
        return fingerprint_file(path, self.memo)

    def _keys(self, kind: Callable[[str | None, FileMemo | None], str | None] = device_class) -> NodeKeys:
        environment = Environment(lambda: kind(self.device, self.memo) or "unknown", self.numerics)
        return NodeKeys(self.folders, self._fingerprint, environment, strips_metadata=self.strip_metadata)

    def _prompt(self, workflow: Workflow) -> DynamicPrompt:
        return DynamicPrompt(workflow, self.registry.get)

    def _define(self, class_type: str) -> NodeDefinition | None:
        """The definition of a class, with its pack loaded if need be."""
        if class_type not in self.registry:
            self.load_packs([class_type])
        return self.registry.get(class_type)

    def _choose_device(self) -> str:
        return self.device or best_device()

    def _free_memory(self) -> None:
        self.store.free_memory()
        self.memory.unload()
        free_accelerators()

    def close(self) -> None:
        """Write what is kept and close the store; the engine is not used after it."""
        self.executor.close()
        self.packs.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def load_all_packs(self) -> list[Problem]:
        """Import every pack, as a server does that tells which nodes there are and what else packs bring."""
        return self._load(dict.fromkeys((*self.packs.packs, *self.custom)))

    def load_packs(self, class_types: Iterable[str]) -> list[Problem]:
        """Import the custom packs that define these node types, as far as they are not defined yet.

        Packs without an index come first; one whose index lacks the type is asked when no other has it.
        """
        missing = {name for name in class_types if name not in self.registry}
        problems: list[Problem] = []
        tried: set[Pack] = set()
        for is_first in (True, False):
            named = self._named(missing)
            chosen = [pack for pack in named if self.packs.must_import(pack, missing) is is_first]
            problems += self._load(chosen)
            tried.update(chosen)
            missing = {name for name in missing if name not in self.registry}
        if missing:  # a pack may put names together that its source does not hold
            problems += self._load(p for p in self.custom if p not in tried and self.packs.must_import(p, missing))
        return problems

    def _load_doubted(self, problems: Iterable[Problem]) -> bool:
        """Import the packs of nodes that are wrong as an index tells, which may be old; whether there were any."""
        wrong = {p.class_type for p in problems if p.severity == "error" or p.code == "not_in_list"}
        found = (indexed_class(self.registry, name) for name in wrong if name is not None)
        packs = {known.pack for known in found if known is not None}
        self._load(packs)
        return bool(packs)

    def _load(self, packs: Iterable[Pack]) -> list[Problem]:
        """Import packs; those that are imported already define nothing new."""
        around = self.packs.surroundings or Surroundings(self.folders, SeenByPacks(self.registry))
        problems: list[Problem] = []
        for pack in packs:
            try:
                loaded = self.packs.load(pack, around)
            except PackError as error:
                problems.append(pack_problem(error))
                continue
            problems.extend(loaded.problems)
            for definition in loaded.definitions:
                name = definition.class_type
                if self.registry.was_added(name) and self.registry[name].module == definition.module:
                    continue
                try:
                    self.packs.require_first(name, pack)
                    self.registry.add(definition)
                except PackError as error:
                    problems.append(pack_problem(error))
        return problems
