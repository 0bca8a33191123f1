"""The process that checks the nodes of one pack for another, which ends it when a node does not come back.

Requests come over what was stdin, answers go over what was stdout, a line of JSON each. Both are put out of the
reach of nodes first: one that prints or asks for input would else talk with the process that waits.
"""

import faulthandler
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from graphengine.errors import GraphEngineError
from graphengine.isolation.limits import limit_memory
from graphengine.testing.contract import Contract, contract_of, contract_of_installed
from graphengine.testing.deadlines import Deadline
from graphengine.testing.engines import temporary_engine
from graphengine.testing.report_messages import message_of, told_findings, told_report

GRACE = 5.0  # seconds that a call has to be interrupted from inside, before the process is ended


def main(order: str) -> None:
    """Check nodes as they are asked for, until nobody asks. `order` says which pack and how, as JSON."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    wanted: Mapping[str, Any] = message_of(order.encode())  # Any: JSON
    folder = Path(wanted["folder"])
    with (folder / "crash").open("w") as crash:
        faulthandler.enable(crash)
        limit_memory(wanted["memory"])
        _Voice(answers, crash, wanted["seconds"]).answer(wanted, requests)
    answers.close()
    os._exit(0)  # threads that nodes left running are none of ours


class _Voice:
    """Answers, and says which call is under way, so that a process that is ended is known to have hung in it."""

    def __init__(self, answers: IO[bytes], crash: IO[str], seconds: float) -> None:
        self._answers = answers
        self._crash = crash
        self._seconds = seconds

    def answer(self, wanted: Mapping[str, Any], requests: Iterable[bytes]) -> None:
        try:
            contract = _contract(wanted, Deadline(self._seconds, self._doing))
        except GraphEngineError as error:
            self._say({"refused": error.message, "hint": error.hint})
            return
        with contract.engine:
            found = told_findings(contract.pack_findings())
            self._say({"class_types": contract.class_types, "findings": found})
            for line in requests:
                request = message_of(line)
                if "lost" in request:
                    report = contract.lost(request["class_type"], request["lost"])
                else:
                    report = contract.check(request["class_type"])
                self._say({"report": told_report(report)})

    def _doing(self, what: str) -> None:
        if what:  # a thread that needs no interpreter tells where the code is and ends what cannot be interrupted
            faulthandler.dump_traceback_later(self._seconds + GRACE, exit=True, file=self._crash)
        else:
            faulthandler.cancel_dump_traceback_later()
        self._say({"doing": what})

    def _say(self, message: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):  # nobody asks any more, and the next request will not come
            self._answers.write(json.dumps(message).encode() + b"\n")
            self._answers.flush()


def _contract(wanted: Mapping[str, Any], deadline: Deadline) -> Contract:
    folder, examples = Path(wanted["folder"]), wanted["examples"]
    if wanted["installed"] is None:
        return contract_of(folder, Path(wanted["pack"]), examples, deadline)
    return contract_of_installed(temporary_engine(folder), wanted["installed"], examples, deadline)
