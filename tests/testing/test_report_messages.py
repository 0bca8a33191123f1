"""Reports come over from another process as they were, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.testing.checks import CHECKS, Finding, NodeReport
from graphengine.testing.report_messages import NoMessage, message_of, read_report, told_report

FINDINGS = st.builds(
    Finding,
    st.sampled_from(sorted(CHECKS)),
    st.text(max_size=20),
    st.text(max_size=10),
    st.none() | st.just(Path("/packs/nodes.py")),
    st.integers(1, 9999),
)
REPORTS = st.builds(
    NodeReport,
    st.text(max_size=10),
    st.lists(FINDINGS, max_size=3).map(tuple),
    st.lists(st.tuples(FINDINGS, st.text(max_size=10)), max_size=2).map(tuple),
    st.lists(st.text(max_size=10), max_size=2).map(tuple),
    st.integers(0, 99),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(report=REPORTS)
def test_a_report_comes_over_as_it_was(report: NodeReport) -> None:
    assert read_report(message_of(json.dumps(told_report(report)).encode())) == report


@given(content=st.binary(max_size=30))
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    try:
        message = message_of(content)
    except NoMessage:
        return
    assert isinstance(message, dict)


@given(part=st.sampled_from(["class_type", "findings", "waived", "notes", "calls"]), value=JSON)
def test_a_report_with_other_parts_is_refused_or_has_the_right_types(part: str, value: Any) -> None:
    told = told_report(NodeReport("Node", (Finding("network", "asks"),), ((Finding("process", "runs"), "why"),)))
    try:
        report = read_report({**told, part: value})
    except NoMessage:
        return
    assert isinstance(report.class_type, str)
    assert isinstance(report.calls, int)
    assert all(finding.code in CHECKS for finding in report.findings)


@pytest.mark.parametrize(
    "finding",
    [{}, None, [], {"code": "nothing", "message": "", "class_type": "", "file": None, "line": 1}, "network"],
)
def test_a_finding_of_no_check_is_refused(finding: Any) -> None:
    told = told_report(NodeReport("Node"))
    for parts in ({"findings": [finding]}, {"waived": [[finding, "why"]]}, {"waived": [finding]}):
        with pytest.raises(NoMessage):
            read_report({**told, **parts})
