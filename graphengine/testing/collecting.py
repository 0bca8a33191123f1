"""The checks of a pack as tests of pytest: one for each node and check."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphengine.errors import GraphEngineError
from graphengine.testing.checking_process import EXAMPLES, SECONDS, CheckOrder, PackChecks
from graphengine.testing.checks import CHECKS, Finding, NodeReport
from graphengine.testing.importing import import_findings

_OF_THE_PACK = ("imports_alone", "switched_off")


class PackCollector(pytest.Collector):
    """The checks of the pack under test: `PACK::NodeClass::code`."""

    def __init__(self, *, order: CheckOrder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order = order

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """The tests of the pack, and of each of its nodes."""
        assert self.order.pack is not None
        found = tuple(import_findings(self.order.pack, self.order.seconds_to_import))
        checks = None if found else self._checks()
        found += checks.pack_findings if checks is not None else ()
        for code in _OF_THE_PACK:
            yield CheckItem.from_parent(self, name=code, code=code, report=lambda: NodeReport("", found))
        for class_type in checks.class_types if checks is not None else ():
            yield NodeCollector.from_parent(self, name=class_type, checks=checks)

    def _checks(self) -> PackChecks:
        checks = PackChecks(self.order)
        self.session.config.add_cleanup(checks.close)
        try:
            checks.class_types  # noqa: B018 (reading the pack may fail)
        except GraphEngineError as error:
            raise self.CollectError(f"{error.message}\n{error.hint or ''}") from error
        return checks


class NodeCollector(pytest.Collector):
    """The checks of one node; they are made when the first of them runs."""

    def __init__(self, *, checks: PackChecks, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checks = checks
        self._made: NodeReport | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """A test for each check."""
        for code in CHECKS:
            if code != "imports_alone":
                yield CheckItem.from_parent(self, name=code, code=code, report=self._report)

    def _report(self) -> NodeReport:
        if self._made is None:
            self._made = self.checks.check(self.name)
        return self._made


class CheckItem(pytest.Item):
    """One check of one node. A check that is switched off is skipped with its reason if it would have failed."""

    def __init__(self, *, code: str, report: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.code = code
        self._report = report

    def runtest(self) -> None:
        """Fail with what the check found.

        Raises:
            CheckFailed: it found something.
        """
        report: NodeReport = self._report()
        found = [finding for finding in report.findings if finding.code == self.code]
        if found:
            raise CheckFailed(found)
        for finding, reason in report.waived:
            if finding.code == self.code:
                pytest.skip(f"{finding.message}; switched off: {reason}")
        if self.code == "wrong_result" and report.class_type and not report.calls and report.notes:
            pytest.skip(report.notes[0])

    # Any: pytest's own type is not public.
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings in plain words, without a traceback of ours."""
        if isinstance(excinfo.value, CheckFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it stands: nowhere but in the pack."""
        return self.path, None, f"{self.parent.name if self.parent else ''}: {self.code}"


class CheckFailed(Exception):
    """A check found something."""

    def __init__(self, findings: list[Finding]) -> None:
        lines = [f"{CHECKS[findings[0].code]}: this is not so"]
        for finding in findings:
            place = f" ({finding.file}:{finding.line})" if finding.file is not None else ""
            lines.append(f"  {finding.message}{place}")
        super().__init__("\n".join([*lines, f"docs/node-checks.md says more about {findings[0].code}"]))


def collector_of(session: pytest.Session, pack: Path) -> PackCollector:
    """The collector of a pack's checks."""
    examples = session.config.getoption("--graphengine-examples")
    seconds = session.config.getoption("--graphengine-timeout")
    order = CheckOrder(
        pack.resolve(),
        examples=EXAMPLES if examples is None else examples,
        seconds=SECONDS if seconds is None else seconds,
    )
    made: PackCollector = PackCollector.from_parent(session, name=pack.name, nodeid=pack.name, order=order)
    return made
