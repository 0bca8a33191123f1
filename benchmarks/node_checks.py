"""Check all built-in nodes as `graphengine test` checks those of a pack: no findings, and the time it takes.

    python benchmarks/node_checks.py [--pack image] [--node LoadImage] [--examples 5] [--jobs 2]
    python benchmarks/node_checks.py --done checked.txt      # in parts: what the file names is not checked again

Nodes are checked in processes with a deadline and a limit of memory, so a node that hangs is one finding. Exits
with 1 when there are findings. What could not be called is listed with the reason.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from time import perf_counter

from graphengine.packs.discover import installed_packs
from graphengine.testing.checking_process import CheckOrder, PackChecks
from graphengine.testing.checks import NodeReport

_SECONDS = 600.0  # a call may take so long: some nodes encode eighty frames of a video by default
_MEMORY = 6 * 2**30


def main() -> int:
    """Check the packs and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", action="append", help="only this pack; repeatable")
    parser.add_argument("--node", action="append", help="only this node; repeatable")
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--done", type=Path, help="a file of nodes without findings: they are left out, new ones added"
    )
    arguments = parser.parse_args()
    start = perf_counter()
    reports = list(_reports(arguments.pack, arguments.node, arguments.examples, arguments.jobs, arguments.done))
    uncalled = [report for report in reports if not report.calls and not report.findings]
    for report in uncalled:
        print(f"not called: {report.class_type}: {'; '.join(report.notes)}")
    findings = [finding for report in reports for finding in report.findings]
    cases = sum(report.calls for report in reports)
    print(
        f"{len(reports)} nodes, {len(uncalled)} not called, {cases} cases, {perf_counter() - start:.1f} s, "
        f"{_processor_seconds():.1f} s of the processors"
    )
    print(f"{len(findings)} findings {dict(Counter(finding.code for finding in findings))}")
    return 1 if findings else 0


def _reports(
    packs: Sequence[str] | None, nodes: Sequence[str] | None, examples: int, jobs: int, done: Path | None
) -> Iterator[NodeReport]:
    """The reports of the packs' nodes; each finding is printed when it is there."""
    known = set(done.read_text().split("\n")) if done is not None and done.exists() else set()
    for pack in installed_packs():
        if packs and pack.name not in packs:
            continue
        order = CheckOrder(installed=pack.name, examples=examples, seconds=_SECONDS, memory=_MEMORY)
        with PackChecks(order, jobs) as checks:
            wanted = [name for name in checks.class_types if (not nodes or name in nodes) and name not in known]
            for report in checks.check_all(wanted):
                for finding in report.findings:
                    print(finding, flush=True)
                if done is not None and not report.findings:
                    with done.open("a") as opened:
                        opened.write(report.class_type + "\n")
                yield report


def _processor_seconds() -> float:
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    sys.exit(main())
