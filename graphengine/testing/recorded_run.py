"""Records nodes while a workflow runs: what to run it on, and the recordings afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError
from graphengine.execution.devices import best_device
from graphengine.execution.result import RunResult
from graphengine.graph.validate import output_nodes
from graphengine.node.registry import NodeRegistry
from graphengine.testing.recorded_capture import Captured, CapturingExecutor, keep_outputs
from graphengine.testing.recorded_writing import Recorded, Subject, write_recording
from graphengine.workflow.models import NodeId, Workflow


@dataclass(slots=True)
class Recorder:
    """Records `nodes` of a workflow, values of up to `limit` bytes each.

    Run the workflow on `engine` with `targets`, then call `write`. Nodes of the types that are recorded are called
    although the cache holds what they gave; all others are taken from there.
    """

    engine: Engine
    workflow: Workflow
    nodes: Sequence[NodeId]
    targets: tuple[NodeId, ...]
    limit: int
    _executor: CapturingExecutor = field(repr=False)

    @classmethod
    def of(
        cls,
        engine: Engine,
        workflow: Workflow,
        nodes: Sequence[NodeId],
        goals: Collection[NodeId] | None,
        limit: int,
    ) -> "Recorder":
        """A recorder for a run of `goals`, of all output nodes where there are none."""
        engine.load_packs({node.class_type for node in workflow.nodes.values()})
        classes = {workflow.nodes[node_id].class_type for node_id in nodes}
        # not from the cache: only a call shows what the node is given
        called = (
            replace(known, cacheable=False) for name in classes if (known := engine.registry.get(name)) is not None
        )
        executor = CapturingExecutor(engine.executor, nodes, limit)
        changed = replace(engine, registry=NodeRegistry(called, engine.registry), executor=executor)
        wanted = output_nodes(workflow, engine.registry) if goals is None else goals
        return cls(changed, workflow, nodes, tuple(dict.fromkeys((*wanted, *nodes))), limit, executor)

    def write(self, folder: Path, source: str, result: RunResult, version: str) -> list[Recorded]:
        """Write a recording and a test for each node into a folder; `source` is the name of the workflow's file.

        Raises:
            GraphEngineError: the folder cannot be written to, or a node was not called.
        """
        return [
            write_recording(folder, self._subject(node_id, source, version), self._captured(node_id, result))
            for node_id in self.nodes
        ]

    def _captured(self, node_id: NodeId, result: RunResult) -> Captured:
        captured = self._executor.captured.get(node_id)
        if captured is None:  # an equal node ran in its place
            result = self.engine.run(self.workflow, targets=[node_id])
            captured = self._executor.captured.get(node_id)
        if captured is None:
            raise GraphEngineError(f"node {node_id} was not called, so there is nothing to record")
        if captured.slots is not None:
            return captured
        outputs = result.outputs(node_id)  # of the nodes in its place
        if outputs is None:
            raise GraphEngineError(f"node {node_id} gave nothing that was kept, so there is nothing to record")
        return replace(captured, slots=keep_outputs(outputs, self.limit), ui=dict(outputs.ui))

    def _subject(self, node_id: NodeId, source: str, version: str) -> Subject:
        definition = self.engine.registry[self.workflow.nodes[node_id].class_type]
        return Subject(
            node_id,
            definition,
            self.workflow,
            self.engine.registry,
            self.engine.folders,
            source,
            self.engine.device or best_device(),
            version,
            self.limit,
        )
