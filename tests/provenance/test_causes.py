"""Why nodes run, in words."""

import json
import time

import pytest

from graphengine.errors import NodeExecutionError
from graphengine.provenance.changes import named_parts
from graphengine.provenance.words import cause_text, date_text, value_change, word_changes
from graphengine.workflow.models import NodeId
from tests.provenance.bench import Bench, Nodes, running
from tests.provenance.test_foresee import CHAIN, SAMPLED

SAVED: Nodes = {"1": ("Half", {"value": 6}), "2": ("Save", {"value": ["1", 0]})}


def texts(bench: Bench, nodes: Nodes) -> list[str]:
    foresight = bench.foresee(nodes)
    return [cause_text(cause, foresight.now, time.time()) for cause in foresight.causes.of(running(foresight))]


def last_texts(bench: Bench, nodes: Nodes) -> list[str]:
    last = bench.foresee(nodes).last_run()
    assert last is not None
    executed = [NodeId(each) for each, entry in last.now.record.nodes.items() if entry.state == "executed"]
    return [cause_text(cause, last.now, time.time()) for cause in last.of(executed)]


def test_without_a_change_there_is_no_cause(bench: Bench) -> None:
    bench.run(CHAIN)
    assert texts(bench, CHAIN) == []


def test_a_first_run_has_one_cause(bench: Bench) -> None:
    assert texts(bench, CHAIN) == ["no earlier run of this workflow is recorded"]


def test_a_changed_value_is_named_before_and_after_it_ran(bench: Bench) -> None:
    bench.run(CHAIN)
    changed: Nodes = {**CHAIN, "1": ("Half", {"value": 8})}
    assert texts(bench, changed) == ["value of node 1 (Half) changed 6 → 8"]
    bench.run(changed)
    assert texts(bench, changed) == []
    assert last_texts(bench, changed) == ["value of node 1 (Half) changed 6 → 8"]


def test_true_and_one_are_not_the_same(bench: Bench) -> None:
    assert value_change(1, True) == "changed 1 → true"
    assert value_change(1, 1.0) == "changed 1 → 1.0"


def test_a_link_that_leads_elsewhere_is_named(bench: Bench) -> None:
    bench.run(CHAIN)
    assert texts(bench, {**CHAIN, "3": ("Show", {"value": ["1", 0]})}) == [
        "value of node 3 (Show) came from node 2, output 0 and comes from node 1, output 0"
    ]
    assert texts(bench, {**CHAIN, "2": ("Sum", {"a": 3, "b": 2})}) == [
        "a of node 2 (Sum) came from node 1, output 0 and is 3",
        "b of node 2 (Sum) changed 1 → 2",
    ]


def test_code_is_named_by_pack_and_file_once_for_all_its_nodes(bench: Bench) -> None:
    two: Nodes = {**CHAIN, "4": ("Half", {"value": 2}), "5": ("Show", {"value": ["4", 0]})}
    bench.run(two)
    bench.code["Half"] = "2"
    assert texts(bench, two) == ["code of ComfyUI-Foo changed in half.py"]


def test_a_package_and_a_device_are_named_once(bench: Bench) -> None:
    bench.run(CHAIN)
    bench.packages = {"torch": "2.13"}
    assert texts(bench, CHAIN) == ["torch was 2.12, is 2.13"]
    bench.packages, bench.device = {"torch": "2.12"}, "cuda"
    assert texts(bench, CHAIN) == ["device was cpu, is cuda"]


def test_a_model_with_other_bytes_is_named(bench: Bench) -> None:
    bench.run(SAMPLED)
    (bench.folders.models["checkpoints"][0] / "m.safetensors").write_text("4")
    assert texts(bench, SAMPLED) == ["m.safetensors has other bytes"]


def test_a_saved_file_that_is_gone_is_named(bench: Bench) -> None:
    bench.run(SAVED)
    (bench.folders.output / "3.txt").unlink()
    assert texts(bench, SAVED) == ["what node 2 (Save) saved, output/3.txt, is gone or was changed"]
    bench.run(SAVED)
    assert last_texts(bench, SAVED) == ["what node 2 (Save) saved, output/3.txt, is gone or was changed"]


def test_a_result_that_is_not_kept_any_more_is_named(bench: Bench) -> None:
    bench.run(CHAIN)
    bench.store.clear()
    assert [text.partition(" any more")[0] for text in texts(bench, CHAIN)] == [
        "the result of node 1 (Half) is not in this cache",
        "the result of node 2 (Sum) is not in this cache",
        "the result of node 3 (Show) is not in this cache",
    ]


def test_evictions_are_told_with_their_time(bench: Bench) -> None:
    bench.run(CHAIN)
    foresight = bench.foresee(CHAIN)
    key = foresight.now.key("3")
    bench.store.clear()
    causes = bench.foresee(CHAIN).causes
    march = time.mktime((2026, 3, 12, 12, 0, 0, 0, 0, -1))
    causes.evicted = {key: (march, "budget")}.get
    found = [cause_text(cause, causes.now, march + 40 * 86400) for cause in causes.of([NodeId("3")])]
    assert found == ["the result of node 3 (Show) was evicted on 12 March"]


def test_a_node_that_always_runs_is_the_cause_of_what_is_after_it(bench: Bench) -> None:
    nodes: Nodes = {"1": ("Restless", {"answer": -1.0}), "2": ("Show", {"value": ["1", 0]})}
    bench.run(nodes)
    causes = bench.foresee(nodes, ask=True).causes
    assert [(cause.kind, cause.nodes) for cause in causes.of([NodeId("1"), NodeId("2")])] == [("always", ("1",))]


def test_the_root_is_told_and_not_the_chain(bench: Bench) -> None:
    chain: Nodes = {"0": ("Half", {"value": 9})} | {
        str(n): ("Sum", {"a": [str(n - 1), 0], "b": n}) for n in range(1, 50)
    }
    chain["50"] = ("Show", {"value": ["49", 0]})
    bench.run(chain)
    foresight = bench.foresee({**chain, "7": ("Sum", {"a": ["6", 0], "b": 8})})
    (cause,) = foresight.causes.of([NodeId("50")])
    assert (cause.nodes, cause.part, cause.old, cause.new) == (("7",), "input:b", 7, 8)


def test_a_change_that_made_no_difference_is_no_cause(bench: Bench) -> None:
    two: Nodes = {**CHAIN, "4": ("Half", {"value": 4}), "5": ("Sum", {"a": ["1", 0], "b": ["4", 0]}),
           "6": ("Show", {"value": ["5", 0]})}  # fmt: skip
    bench.run(two)
    changed: Nodes = {**two, "1": ("Half", {"value": 7})}
    bench.run(changed, targets=["3"])
    changed["4"] = ("Half", {"value": 6})
    assert texts(bench, changed) == ["value of node 4 (Half) changed 4 → 6"]


def test_a_node_that_failed_is_told_with_its_words(bench: Bench) -> None:
    failing: Nodes = {"1": ("Say", {"text": "fail", "api_key": ""}), "2": ("Show", {"value": ["1", 0]})}
    with pytest.raises(NodeExecutionError):
        bench.run(failing)
    failed, unfinished = texts(bench, failing)
    assert failed.startswith("node 1 (Say) failed in the run today at ")
    assert failed.endswith(": ValueError: as it was told")
    assert unfinished.startswith("the run today at ")
    assert unfinished.endswith(" ended before node 2 (Show)")


def test_a_new_node_never_ran(bench: Bench) -> None:
    bench.run(CHAIN)
    assert texts(bench, {**CHAIN, "9": ("Show", {"value": ["1", 0]})}) == [
        "node 9 (Show) never ran with this workflow"
    ]


def test_secrets_are_not_written_and_their_change_is_told_as_possible(bench: Bench) -> None:
    says: Nodes = {"1": ("Say", {"text": "a", "api_key": "k-12345"}), "2": ("Show", {"value": ["1", 0]})}
    bench.run(says)
    (run,) = bench.records.read(bench.file, "")
    assert "k-12345" not in json.dumps(run.record.document)
    assert texts(bench, {**says, "1": ("Say", {"text": "a", "api_key": "k-9"})}) == [
        "api_key of node 1 (Say) may have changed; secrets are not recorded"
    ]


def test_a_secret_is_not_shown(bench: Bench) -> None:
    says: Nodes = {"1": ("Say", {"text": "a", "api_key": ""}), "2": ("Show", {"value": ["1", 0]})}
    bench.run(says)
    secret: Nodes = {**says, "1": ("Say", {"text": "a", "api_key": "k-9"})}
    assert texts(bench, secret) == ['api_key of node 1 (Say) changed "" → "(not recorded)"']
    assert named_parts(bench.foresee(secret).now, "1")["input:api_key"] == '"(not recorded)"'


def test_one_change_in_ten_thousand_nodes_is_named(bench: Bench) -> None:
    chain: Nodes = {"0": ("Half", {"value": 2})}
    chain |= {str(n): ("Sum", {"a": [str(n - 1), 0], "b": n % 7}) for n in range(1, 9_999)}
    chain["9999"] = ("Show", {"value": ["9998", 0]})
    bench.run(chain)
    assert texts(bench, {**chain, "5000": ("Sum", {"a": ["4999", 0], "b": 99})}) == [
        "b of node 5000 (Sum) changed 2 → 99"
    ]


def test_of_a_long_text_the_changed_words_are_shown() -> None:
    old = "a wide photo of a red fox in the snow at dawn, mist over the hills, soft light, film grain"
    new = old.replace("red fox", "white fox").replace("film grain", "no grain")
    assert word_changes(old, new) == (
        "… photo of a [-red-] {+white+} fox in the … soft light , [-film-] {+no+} grain"
    )
    assert word_changes(old, f"{old}, 35mm").endswith("film grain {+, 35mm+}")
    assert word_changes("a  b", "a b") == "in spaces or line breaks only"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "today at 12:00"), (86400, "on 12 March"), (400 * 86400, "on 12 March 2026")]
)
def test_dates_are_told_as_people_say_them(seconds: int, text: str) -> None:
    noon = time.mktime((2026, 3, 12, 12, 0, 0, 0, 0, -1))
    assert date_text(noon, noon + seconds) == text


def test_a_result_that_the_cache_cannot_keep_is_told_so(bench: Bench) -> None:
    nodes: Nodes = {"1": ("Opaque", {}), "2": ("Show", {"value": ["1", 0]})}
    bench.run(nodes)
    assert texts(bench, {**nodes, "2": ("Save", {"value": ["1", 0]})}) == [
        "the result of node 1 (Opaque) is not of a kind that the cache keeps",
        "node 2 was a Show, is a Save",
    ]
