"""POST /prompt: what is taken, what is refused, and in which words clients are told."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from graphengine.server.prompt_document import RequestRefused
from graphengine.server.prompts import PromptInvalid, check, read_request
from tests.server.serving import Json, adding, engine_in, queue_prompt, serving, until_idle

NUMBER_OPTIONS = {"default": 1, "min": 0, "max": 100}
FAILED = "prompt_outputs_failed_validation"


def node(class_type: str, **inputs: Any) -> Json:
    return {"class_type": class_type, "inputs": inputs}


def shown(**nodes: Json) -> Json:
    """A prompt of nodes n1, n3, … whose first is shown by node 2."""
    return {name.removeprefix("n"): each for name, each in nodes.items()} | {"2": node("Out", value=["1", 0])}


def refuse(place: Path, body: object) -> Json:
    """The answer to a request that is refused."""
    try:
        check(engine_in(place), json.dumps(body).encode())
    except PromptInvalid as invalid:
        return invalid.answer
    except RequestRefused as refused:
        return {"error": {"type": refused.type, "message": refused.message, "details": refused.details}}
    raise AssertionError("the request was taken")


def only_error(answer: Json, node_id: str) -> Json:
    """The one error of the one node that has any."""
    assert answer["error"]["type"] == FAILED
    assert list(answer["node_errors"]) == [node_id]
    (error,) = answer["node_errors"][node_id]["errors"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize(
    ("body", "type_", "message", "details"),
    [
        ({"client_id": "x"}, "no_prompt", "No prompt provided", "No prompt provided"),
        (
            {"prompt": {"1": {"inputs": {}}}},
            "invalid_prompt",
            "Cannot execute because a node is missing the class_type property.",
            "Node ID '#1'",
        ),
        (
            {"prompt": {"1": node("Nope")}},
            "invalid_prompt",
            "Cannot execute because node Nope does not exist.",
            "Node ID '#1'",
        ),
        ({"prompt": {"1": node("Number", value=1)}}, "prompt_no_outputs", "Prompt has no outputs", ""),
        ({"prompt": []}, "prompt_no_outputs", "Prompt has no outputs", ""),
        ({"prompt": {}}, "prompt_no_outputs", "Prompt has no outputs", ""),
        (
            {"prompt": shown(n1=node("Number", value=1)), "partial_execution_targets": []},
            "prompt_no_outputs",
            "Prompt has no outputs",
            "",
        ),
        (
            {"prompt": shown(n1=node("Number", value=1)), "partial_execution_targets": ["1"]},
            "prompt_no_outputs",
            "Prompt has no outputs",
            "",
        ),
        ({"prompt": "run it"}, "invalid_prompt", "The prompt must be an object of nodes by id.", "it is str"),
        ({"prompt": {"1": 5}}, "invalid_prompt",
         "Cannot execute because a node is missing the class_type property.", "Node ID '#1'"),
        ([1, 2], "invalid_json", "The request must be a JSON object", "it is list"),
        (
            {"prompt": {}, "prompt_id": "a\nb"},
            "invalid_request",
            "prompt_id must be a text of 1 to 128 letters, digits and . : _ -",
            "it is 'a\\nb'",
        ),
        ({"prompt": {}, "number": "1"}, "invalid_request", "number must be a number between -2**53 and 2**53",
         "it is '1'"),
        ({"prompt": {}, "number": 10**60}, "invalid_request", "number must be a number between -2**53 and 2**53",
         f"it is {10**60}"),
        ({"prompt": {}, "client_id": "a\n"}, "invalid_request",
         "client_id must be a text of 1 to 128 printable characters", "it is 'a\\n'"),
        ({"prompt": {}, "extra_data": []}, "invalid_request", "extra_data must be an object", "it is []"),
        (
            {"prompt": {}, "partial_execution_targets": {}},
            "invalid_request",
            "partial_execution_targets must be a list of node ids",
            "it is {}",
        ),
    ],
)  # fmt: skip
def test_a_request_is_refused_as_a_whole(
    tmp_path: Path, body: object, type_: str, message: str, details: str
) -> None:
    error = refuse(tmp_path, body)["error"]
    assert (error["type"], error["message"], error["details"]) == (type_, message, details)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (
            node("Add", a=1),
            {"type": "required_input_missing", "message": "Required input is missing", "details": "b",
             "extra_info": {"input_name": "b"}},
        ),
        (
            node("Add", a=[1, 2, 3], b=1),
            {"type": "bad_linked_input",
             "message": "Bad linked input, must be a length-2 list of [node_id, slot_index]", "details": "a",
             "extra_info": {"input_name": "a", "input_config": ["INT", {"default": 0}],
                            "received_value": [1, 2, 3]}},
        ),
        (
            node("Number", value="abc"),
            {"type": "invalid_input_type", "message": "Failed to convert an input value to a INT value",
             "details": "value, abc, invalid literal for int() with base 10: 'abc'",
             "extra_info": {"input_name": "value", "input_config": ["INT", NUMBER_OPTIONS],
                            "received_value": "abc",
                            "exception_message": "invalid literal for int() with base 10: 'abc'"}},
        ),
        (
            node("Number", value=-1),
            {"type": "value_smaller_than_min", "message": "Value -1 smaller than min of 0", "details": "value",
             "extra_info": {"input_name": "value", "input_config": ["INT", NUMBER_OPTIONS], "received_value": -1}},
        ),
        (
            node("Number", value="999"),
            {"type": "value_bigger_than_max", "message": "Value 999 bigger than max of 100", "details": "value",
             "extra_info": {"input_name": "value", "input_config": ["INT", NUMBER_OPTIONS],
                            "received_value": 999}},
        ),
        (
            node("Even", value=3),
            {"type": "custom_validation_failed", "message": "Custom validation failed for node",
             "details": "value - 3 is odd", "extra_info": {"input_name": "value"}},
        ),
        (
            node("Picture", image="no.png"),
            {"type": "custom_validation_failed", "message": "Custom validation failed for node",
             "details": "image - no file 'no.png' in the input folder", "extra_info": {"input_name": "image"}},
        ),
        (
            {"class_type": "Number"},
            {"type": "exception_during_inner_validation", "message": "Exception when validating inner node",
             "details": "the node has no 'inputs'",
             "extra_info": {"input_name": "value", "input_config": ["INT", {"forceInput": True}],
                            "exception_message": "the node has no 'inputs'", "exception_type": "KeyError",
                            "traceback": [], "linked_node": ["1", 0]}},
        ),
    ],
)  # fmt: skip
def test_a_wrong_input_is_an_error_of_its_node(tmp_path: Path, wrong: Json, error: Json) -> None:
    answer = refuse(tmp_path, {"prompt": shown(n1=wrong)})
    assert only_error(answer, "1") == error
    assert answer["error"]["message"] == "Prompt outputs failed validation"
    assert answer["error"]["details"] == ""
    assert answer["node_errors"]["1"]["dependent_outputs"] == ["2"]
    assert answer["node_errors"]["1"]["class_type"] == wrong["class_type"]


@pytest.mark.parametrize(
    ("inputs", "details", "config"),
    [
        ({"word": "PINK"}, "word: 'PINK' not in ['RED', 'GREEN', 'BLUE']",
         [["RED", "GREEN", "BLUE"], {"default": "RED"}]),
        ({"word": "RED", "many": "99"}, "many: '99' not in (list of length 30)", None),
        ({"word": "RED", "model": "no.ckpt"}, "model: 'no.ckpt' not in []", [[], {}]),
    ],
)  # fmt: skip
def test_a_choice_that_is_none_is_told_with_the_choices(
    tmp_path: Path, inputs: Json, details: str, config: object
) -> None:
    prompt = {"1": node("Word", **inputs), "3": node("Even", value=["1", 0]), "2": node("Out", value=["3", 0])}
    errors = refuse(tmp_path, {"prompt": prompt})["node_errors"]["1"]["errors"]
    assert [(error["type"], error["details"]) for error in errors] == [("value_not_in_list", details)]
    assert errors[0]["extra_info"]["input_config"] == config


def test_a_link_of_the_wrong_type_names_both_types(tmp_path: Path) -> None:
    answer = refuse(tmp_path, {"prompt": shown(n1=node("Word", word="RED"))})
    details = "value, received_type(STRING) mismatch input_type(INT)"
    assert answer["error"]["details"] == f"Return type mismatch between linked nodes: {details}"
    assert only_error(answer, "2") == {
        "type": "return_type_mismatch",
        "message": "Return type mismatch between linked nodes",
        "details": details,
        "extra_info": {
            "input_name": "value",
            "input_config": ["INT", {"forceInput": True}],
            "received_type": "STRING",
            "linked_node": ["1", 0],
        },
    }


@pytest.mark.parametrize(
    ("link", "exception", "details"),
    [
        (["77", 0], "KeyError", "input 'value' is linked to node 77, which is not in the workflow"),
        (["1", 5], "IndexError", "input 'value' is linked to output 5 of node 1 (Number), which has 1"),
        (["1", -2], "IndexError", "input 'value' is linked to output -2 of node 1 (Number), which has 1"),
    ],
)
def test_a_link_into_the_void_says_what_it_misses(
    tmp_path: Path, link: Json, exception: str, details: str
) -> None:
    prompt = {"1": node("Number", value=1), "2": node("Out", value=link)}
    answer = refuse(tmp_path, {"prompt": prompt})
    assert answer["error"]["details"] == f"Exception when validating node: {details}"
    assert only_error(answer, "2") == {
        "type": "exception_during_validation",
        "message": "Exception when validating node",
        "details": details,
        "extra_info": {"exception_type": exception, "traceback": []},
    }


def test_a_cycle_names_its_path(tmp_path: Path) -> None:
    answer = refuse(tmp_path, {"prompt": shown(n1=node("Add", a=["3", 0], b=1), n3=node("Add", a=["1", 0], b=1))})
    assert answer["error"]["type"] == FAILED
    assert answer["error"]["details"] == "the nodes feed each other in a circle: 1 -> 3 -> 1"
    assert answer["node_errors"] == {}


def test_sound_outputs_run_and_the_others_are_told_of(tmp_path: Path) -> None:
    prompt = shown(n1=node("Number", value=1)) | {"4": {"class_type": "Out", "inputs": {}}}
    _, parts, node_errors = check(engine_in(tmp_path), json.dumps({"prompt": prompt}).encode())
    assert parts.outputs == ("2",)
    assert list(node_errors) == ["4"]
    assert node_errors["4"]["dependent_outputs"] == ["4"]
    assert [error["type"] for error in node_errors["4"]["errors"]] == ["required_input_missing"]


def test_sound_outputs_are_asked_about_their_inputs_although_another_is_wrong(tmp_path: Path) -> None:
    prompt = shown(n1=node("Even", value=3)) | {
        "4": {"class_type": "Out", "inputs": {}},
        "5": node("Number", value=1),
        "6": node("Out", value=["5", 0]),
    }
    _, parts, node_errors = check(engine_in(tmp_path), json.dumps({"prompt": prompt}).encode())
    assert parts.outputs == ("6",)
    assert {name: entry["errors"][0]["type"] for name, entry in node_errors.items()} == {
        "1": "custom_validation_failed",
        "4": "required_input_missing",
    }


def test_a_cycle_beside_a_sound_output_is_told_at_its_first_node(tmp_path: Path) -> None:
    prompt = shown(n1=node("Number", value=1)) | {
        "5": node("Add", a=["5", 0], b=1),
        "6": node("Out", value=["5", 0]),
    }
    _, parts, node_errors = check(engine_in(tmp_path), json.dumps({"prompt": prompt}).encode())
    assert parts.outputs == ("2",)
    assert node_errors["5"]["errors"][0]["details"] == "the nodes feed each other in a circle: 5 -> 5"


@pytest.mark.parametrize(
    ("given", "kept", "result"),
    [
        (node("Add", a="5", b=True), node("Add", a=5, b=1), 6),
        (node("Add", a=5.9, b=1), node("Add", a=5, b=1), 6),
        (node("Add", a={"__value__": 3}, b=1), node("Add", a=3, b=1), 4),
        (node("Add", a=3, b=1, zzz=9), node("Add", a=3, b=1, zzz=9), 4),
    ],
)
def test_literals_are_converted_for_the_run_and_the_history(
    tmp_path: Path, given: Json, kept: Json, result: int
) -> None:
    entry = run_one(tmp_path, shown(n1=given))
    assert entry["prompt"][2] == shown(n1=kept)
    assert entry["outputs"] == {"2": {"value": [result]}}


def test_a_negative_slot_counts_from_the_last_output(tmp_path: Path) -> None:
    prompt = {"1": node("Number", value=1), "2": node("Out", value=["1", -1])}
    entry = run_one(tmp_path, prompt)
    assert entry["prompt"][2] == prompt
    assert entry["outputs"] == {"2": {"value": [1]}}


def run_one(place: Path, prompt: Json, **rest: Any) -> Json:
    """Run a prompt on a server and give its history entry."""

    async def run() -> Json:
        async with serving(engine_in(place), place) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            answer = await queue_prompt(client, prompt, client_id="me", **rest)
            await until_idle(socket)
            history = await (await client.get(f"/history/{answer['prompt_id']}")).json()
            assert list(history) == [answer["prompt_id"]]
            (entry,) = history.values()
            assert isinstance(entry, dict)
            return entry

    return asyncio.run(run())


def test_empty_ids_count_as_none() -> None:
    asked = read_request(b'{"prompt": {}, "prompt_id": "", "client_id": ""}')
    assert re.fullmatch("[0-9a-f]{32}", asked.prompt_id)
    assert asked.extra_data == {}


def test_tokens_reach_the_nodes_and_nothing_that_is_kept(tmp_path: Path) -> None:
    extra = {
        "auth_token_comfy_org": "t0ken",
        "api_key_comfy_org": "k3y",
        "extra_pnginfo": {"workflow": {"id": "w"}},
    }
    asked = read_request(json.dumps({"prompt": {}, "extra_data": extra}).encode())
    assert asked.secrets == {"auth_token_comfy_org": "t0ken", "api_key_comfy_org": "k3y"}
    entry = run_one(tmp_path, adding(1, 2), extra_data=extra)
    assert entry["prompt"][3] == {"extra_pnginfo": {"workflow": {"id": "w"}}, "client_id": "me"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"t0ken" not in written
    assert b"k3y" not in written


def test_json_is_read_whatever_it_claims_to_be(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            body = json.dumps({"prompt": adding(1, 2)}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = await client.post("/api/prompt", data=body, headers=headers)
            assert response.status == 200
            for body in (b"", b"{", b"\xff", b"[" * 100_000, b'{"prompt": NaN}'):
                response = await client.post("/prompt", data=body, headers=headers)
                assert response.status == 400
                assert (await response.json())["error"]["type"] == "invalid_json"

    asyncio.run(run())


def test_numbers_order_the_queue_and_front_comes_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            endless = {"1": node("Endless", start=1), "2": node("Out", value=["1", 0])}
            await queue_prompt(client, endless, client_id="me")
            while (await socket.receive_json(timeout=20))["type"] != "executing":
                pass
            places: list[Json] = [{}, {"number": 0.5}, {"front": True}, {}]
            numbers = [
                (await queue_prompt(client, adding(1, n), prompt_id=f"p{n}", **rest))["number"]
                for n, rest in enumerate(places)
            ]
            assert numbers == [1, 0.5, -3, 4]
            queue = await (await client.get("/queue")).json()
            assert [item[1] for item in queue["queue_pending"]] == ["p2", "p1", "p0", "p3"]
            assert [item[2]["1"]["class_type"] for item in queue["queue_running"]] == ["Endless"]

    asyncio.run(run())


def test_an_id_that_is_queued_is_refused_and_a_finished_one_may_run_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            for n in (1, 2):
                await queue_prompt(client, adding(n, n), client_id="me", prompt_id="again")
                await until_idle(socket)
            history = await (await client.get("/history")).json()
            assert {name: entry["outputs"]["out"] for name, entry in history.items()} == {"again": {"value": [4]}}
            endless = {"1": node("Endless", start=1), "2": node("Out", value=["1", 0])}
            await queue_prompt(client, endless, prompt_id="endless")
            response = await client.post("/prompt", json={"prompt": endless, "prompt_id": "endless"})
            assert response.status == 400
            assert (await response.json())["error"]["type"] == "duplicate_prompt_id"

    asyncio.run(run())


def test_a_full_queue_takes_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(engine_in(tmp_path), tmp_path, max_queue=2) as client:
            socket = await client.ws_connect("/ws?clientId=me")
            endless = {"1": node("Endless", start=1), "2": node("Out", value=["1", 0])}
            await queue_prompt(client, endless, client_id="me")
            while (await socket.receive_json(timeout=20))["type"] != "executing":
                pass
            await queue_prompt(client, adding(1, 2))
            await queue_prompt(client, adding(1, 2))
            response = await client.post("/prompt", json={"prompt": adding(1, 2)})
            assert response.status == 429
            assert (await response.json())["error"]["type"] == "queue_full"
            remaining = (await (await client.get("/prompt")).json())["exec_info"]["queue_remaining"]
            assert remaining == 3

    asyncio.run(run())
