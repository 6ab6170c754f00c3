"""The calls of the vendor's API around the stream, over real sockets: one phone that answers as the pages say."""

import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from tests.support.scripted_http import Answer, ScriptedServer, SeenRequest, reply, serve

PHONE: Final = "phone-1"
TASK: Final = "ZGCA1234"
JOB: Final = "1564567b8bab40f34711234cb80d0123"
RUNNING: Final = {"job_id": JOB, "status": 1}
DONE: Final = {"job_id": JOB, "status": 2, "execute_msg": "slow\n"}


def ok(data: object = None) -> Answer:
    return reply(200, {"error_code": "0", "error_msg": "ok", **({} if data is None else {"data": data})})


def refusal(code: str, status: int = 200) -> Answer:
    return reply(status, {"error_code": code, "error_msg": "no"})


class VendorApi:
    """The phone's answers. A test puts other ones first, by the last part of a call's path.

    Attributes:
        server: Where it listens, and the requests that came.
        first: Answers that come before the usual ones, by the last part of the path.
        output: What each command prints, by its text; others print nothing.
        jobs: What the task says at each question; the last one stays.
        pages: The entries of each list, by the last part of the path.
        commands: The commands that were carried out.
    """

    server: ScriptedServer

    def __init__(self) -> None:
        self.first: dict[str, deque[Answer]] = {}
        self.output: dict[str, str] = {}
        self.jobs: list[dict[str, Any]] = [DONE]
        self.pages: dict[str, list[dict[str, Any]]] = {}
        self.commands: list[str] = []

    def answer_first(self, call: str, *answers: Answer) -> None:
        self.first[call] = deque(answers)

    def answer(self, request: SeenRequest) -> Answer:
        call = "tasks" if "/tasks/" in request.path else request.path.rpartition("/")[2]
        if self.first.get(call):
            return self.first[call].popleft()
        asked = json.loads(request.body or b"{}")
        match call:
            case "sync-command":
                self.commands.append(asked["command"])
                result = {"instance_id": PHONE, "status": 2, "execute_msg": self.output.get(asked["command"], "")}
                return ok({"cmd_results": [result]})
            case "async-command" | "batch-reset":
                return ok({"task_id": TASK, "cmd_jobs": [{"instance_id": PHONE, "job_id": JOB}]})
            case "install":
                return ok({"task_id": TASK})
            case "tasks":
                return ok({"jobs": [self.jobs.pop(0) if len(self.jobs) > 1 else self.jobs[0]]})
            case "batch-query-status":
                return ok({"status_results": [{"instance_id": PHONE, "status": 3}]})
            case "app-list" | "batch-query":
                return self._page(call, dict(request.query))
        return ok()

    def _page(self, call: str, query: dict[str, str]) -> Answer:
        entries = self.pages.get(call, [])
        size = int(query["page_size"])
        begin = (int(query["page_no"]) - 1) * size
        return ok({"result": entries[begin : begin + size], "total_count": len(entries), **query})


@contextlib.asynccontextmanager
async def serve_vendor_api() -> AsyncIterator[VendorApi]:
    """Run it on a free port of 127.0.0.1."""
    api = VendorApi()
    async with serve(api.answer) as api.server:
        yield api
