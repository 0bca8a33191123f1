"""Check all built-in nodes as `graphengine test` checks those of a pack: no findings, and the time it takes.

    python benchmarks/node_checks.py [--pack image] [--examples 5]

Exits with 1 when there are findings. What could not be called is listed with the reason.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from graphengine.packs.discover import installed_packs
from graphengine.testing.checks import SwitchedOff
from graphengine.testing.contract import Contract
from graphengine.testing.engines import loaded_pack, temporary_engine
from graphengine.testing.models import Values


def main() -> int:
    """Check the packs and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", action="append", help="only this pack; repeatable")
    parser.add_argument("--node", action="append", help="only this node; repeatable")
    parser.add_argument("--examples", type=int, default=5)
    arguments = parser.parse_args()
    reports = []
    start = perf_counter()
    with TemporaryDirectory() as folder, temporary_engine(Path(folder)) as engine:
        values = Values(engine)
        for pack in installed_packs():
            if arguments.pack and pack.name not in arguments.pack:
                continue
            contract = Contract(
                engine, loaded_pack(engine, pack.name), SwitchedOff({}), values, arguments.examples
            )
            for class_type in contract.class_types:
                if not arguments.node or class_type in arguments.node:
                    began = perf_counter()
                    reports.append(contract.check(class_type))
                    if perf_counter() - began > 5:
                        print(f"slow: {class_type}: {perf_counter() - began:.1f} s", flush=True)
    findings = [finding for report in reports for finding in report.findings]
    for finding in findings:
        print(finding)
    uncalled = [report for report in reports if not report.calls]
    for report in uncalled:
        print(f"{report.class_type}: {'; '.join(report.notes)}")
    calls = sum(report.calls for report in reports)
    print(f"{len(reports)} nodes, {len(uncalled)} not called, {calls} cases, {perf_counter() - start:.1f} s")
    print(f"{len(findings)} findings {dict(Counter(finding.code for finding in findings))}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
