"""What a workflow's problems are when packs are behind them: not loaded yet, not trusted, indexed long ago."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from graphengine.errors import PackError, Problem, UntrustedPack
from graphengine.node.definition import NodeDefinition
from graphengine.packs.definitions import IndexedClass
from graphengine.packs.discover import Pack
from graphengine.packs.trust import Trust, trust_problem

Definitions = Mapping[str, NodeDefinition]


def indexed_class(definitions: Definitions, class_type: str) -> IndexedClass | None:
    """Where a node type comes from if only an index tells what it is."""
    definition = definitions.get(class_type)
    return definition.load if definition is not None and isinstance(definition.load, IndexedClass) else None


def pack_problem(error: PackError) -> Problem:
    """A pack that cannot be loaded, as a finding; one that is not trusted stops a run, others need not."""
    if isinstance(error, UntrustedPack):
        return trust_problem(error)
    return Problem("broken_pack", error.message, hint=error.hint, severity="warning")


def untrusted_packs(class_types: Collection[str], definitions: Definitions, trust: Trust) -> list[Problem]:
    """The packs of these node types that a run would be refused, one problem for each."""
    found: dict[Pack, Problem] = {}
    for class_type in class_types:
        known = indexed_class(definitions, class_type)
        if known is None or known.pack in found:
            continue
        refusal = trust.refusal(known.pack)
        if refusal is not None:
            found[known.pack] = trust_problem(refusal, class_type)
    return list(found.values())


def unless_outdated(problem: Problem, definitions: Definitions) -> Problem:
    """A value that is no choice of a node of a custom pack is a warning while only an index tells the choices."""
    if problem.code != "not_in_list":
        return problem
    known = indexed_class(definitions, problem.class_type or "")
    if known is None or known.pack.path is None:
        return problem
    return replace(
        problem,
        message=f"{problem.message} (as of when pack {known.pack.name!r} was indexed)",
        hint=f"{problem.hint}; add --load-packs to ask the pack now",
        severity="warning",
    )


def unless_provided(problem: Problem, providers: Mapping[str, Pack], trust: Trust) -> Problem:
    """An unknown node that a custom pack seems to define is a warning, since a run loads the pack; it may well be
    the output node that is missed. A pack that is not trusted stays an error.
    """
    if problem.code == "no_output_node":
        return replace(problem, severity="warning")
    pack = providers.get(problem.class_type or "")
    if problem.code != "unknown_node" or pack is None:
        return problem
    if trust.refusal(pack) is not None:
        return unless_trusted(problem, providers, trust)
    return replace(
        problem,
        code="pack_not_loaded",
        message=f"its inputs were not checked: pack {pack.name!r} is loaded only by a run",
        hint="run the workflow, or add --load-packs to run the pack's code now",
        severity="warning",
    )


def unless_trusted(problem: Problem, providers: Mapping[str, Pack], trust: Trust) -> Problem:
    """An unknown node that an untrusted pack seems to define is a matter of trust."""
    pack = providers.get(problem.class_type or "")
    refusal = trust.refusal(pack) if pack is not None and problem.code == "unknown_node" else None
    if refusal is None:
        return problem
    return replace(problem, code="untrusted_pack", message=refusal.message, hint=refusal.hint)


def told_once(packs: Iterable[Problem], found: Iterable[Problem]) -> list[Problem]:
    """Problems of packs and of a workflow, without those of packs that a node of the workflow tells as well."""
    found = list(found)
    told = {problem.message for problem in found}
    return [*(problem for problem in packs if problem.message not in told), *found]
