"""What the emulator's API does beside a stream: commands, apps, the phones' states and settings, tasks."""

import re
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from streamer.emulator import shell
from streamer.emulator.api import Reply, Request
from streamer.emulator.device import Device, Package
from streamer.emulator.faults import Faults
from streamer.emulator.json_text import parse_json
from streamer.protocol_constants import (
    API_SUCCESS,
    APP_LIST_PATH,
    ASYNC_COMMAND_PATH,
    INSTALL_PATH,
    QUERY_PATH,
    QUERY_STATUS_PATH,
    REBOOT_PATH,
    RESET_PATH,
    SYNC_COMMAND_PATH,
    TASK_DONE,
    TASK_FAILED,
    TASK_PATH,
    TASK_RUNNING,
    VIDEO_SETTING_PATH,
)

CALLS_LIMIT: Final = 1000  # calls that are remembered; the oldest are forgotten
TASKS_LIMIT: Final = 1000  # tasks that are remembered; the oldest are forgotten
IDS_LIMIT: Final = 100  # [doc] instances that one call may name
VIDEO_IDS_LIMIT: Final = 32  # [doc] the same for the video's settings
COMMAND_LIMIT: Final = 1024  # [doc] bytes of a command, and of what it printed
PAGE_LIMIT: Final = 1000  # entries of a page
RUNNING: Final = 2  # [doc] status of an instance that runs
_UNKNOWN: Final = 0  # [doc] status of an instance that is not there
_ALPHABET: Final = re.compile(r"[A-Za-z0-9_./: -]+")  # [doc]
_PACKAGE: Final = re.compile(r"[A-Za-z]\w*(\.\w+)+", re.ASCII)
_DEFINITIONS: Final = (("definition_540P", 540), ("definition_720P", 720), ("definition_1080P", 4096))  # → short side
_TASK: Final = re.compile(TASK_PATH.format(task_id="([^/]+)"))
_APP_LIST: Final = re.compile(APP_LIST_PATH.format(instance_id="([^/]+)"))

Answer = Callable[[Any], Any]  # from what was asked to the reply's data


class Phone(Protocol):
    """What a call needs of a phone."""

    device: Device

    @property
    def instance_id(self) -> str:
        """Its instance id."""

    @property
    def status(self) -> int:
        """Its status as batch-query-status tells it: 2 runs, 4 starts [doc]."""

    def reboot(self) -> None:
        """Drop every client and start again."""

    def reset(self) -> None:
        """Go back to the factory's state, and start again."""

    def set_video(self, fps: int, bitrate_bps: int) -> None:
        """Encode so many frames a second, and so many bits."""


class _RefusedError(Exception):
    """The call is refused with these."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, {"error_code": code, "error_msg": message})


_WRONG: Final = (400, "KOOPHONE.API.1000")  # [doc] a parameter is wrong
_NOT_YOURS: Final = (200, "KOOPHONE.API.1012", "the instance is not yours")


@dataclass(slots=True, kw_only=True)
class _Job:
    job_id: str
    due: float  # monotonic seconds
    work: Callable[[], tuple[str, bool]]  # returns what it printed, and whether it failed
    done: tuple[str, bool] | None = None


class Management:
    """The calls about several phones. `answer` is given the time, in monotonic seconds."""

    def __init__(self, phones: Sequence[Phone], faults: Faults) -> None:
        self.calls: deque[str] = deque(maxlen=CALLS_LIMIT)  # the methods and paths of the calls that came
        self._phones = {phone.instance_id: phone for phone in phones}
        self._faults = faults
        self._faulty = 0
        self._tasks: dict[str, list[_Job]] = {}
        self._command_times: deque[float] = deque(maxlen=CALLS_LIMIT)
        self._now = 0.0
        self._answers: dict[str, tuple[str, Answer]] = {
            SYNC_COMMAND_PATH: ("POST", self._sync_command),
            ASYNC_COMMAND_PATH: ("POST", self._async_command),
            INSTALL_PATH: ("POST", self._install),
            QUERY_STATUS_PATH: ("POST", self._query_status),
            QUERY_PATH: ("GET", self._query),
            REBOOT_PATH: ("POST", self._reboot),
            RESET_PATH: ("POST", self._reset),
            VIDEO_SETTING_PATH: ("PUT", self._set_video),
        }

    def method_of(self, path: str) -> str | None:
        """Return the HTTP method that a path takes; None for one that is not here."""
        if path in self._answers:
            return self._answers[path][0]
        return "GET" if _TASK.fullmatch(path) or _APP_LIST.fullmatch(path) else None

    def answer(self, path: str, request: Request, now: float) -> Reply:
        """Answer a call to a path that is here."""
        self.calls.append(f"{request.method} {path}")
        self._now = now
        self._work()
        has_fault = self._counts_as_faulty()
        try:
            if has_fault and (self._faults.call_code or self._faults.call_status != 200):
                return self._fault()
            reply = Reply(200, {"error_code": API_SUCCESS, "error_msg": "success", "data": self._data(path, request)})
        except _RefusedError as error:
            reply = error.reply
        return reply._replace(is_lost=has_fault and self._faults.call_reply_lost)

    def _counts_as_faulty(self) -> bool:
        faults = self._faults
        if not (faults.call_code or faults.call_status != 200 or faults.call_reply_lost):
            return False
        self._faulty += 1
        return not 0 < faults.call_times < self._faulty

    def _fault(self) -> Reply:
        code = self._faults.call_code or "APIGW.0308"  # the gateway's, for too many calls
        return Reply(self._faults.call_status, {"error_code": code, "error_msg": "as injected"})

    def _data(self, path: str, request: Request) -> Any:
        if task := _TASK.fullmatch(path):
            return self._task(task[1])
        if app_list := _APP_LIST.fullmatch(path):
            return self._app_list(app_list[1], request.query)
        asked = request.query if request.method == "GET" else parse_json(request.body)
        if not isinstance(asked, dict):
            raise _RefusedError(*_WRONG, "the body is not a JSON object")
        return self._answers[path][1](asked)

    def _sync_command(self, asked: Any) -> Any:
        command, ids = self._command(asked)
        results = [{"instance_id": each, **self._outcome(self._run(command, each))} for each in ids]
        return {"cmd_results": results}

    def _async_command(self, asked: Any) -> Any:
        command, ids = self._command(asked)
        return self._begin("", {each: partial(self._run, command, each) for each in ids})

    def _command(self, asked: Any) -> tuple[str, list[str]]:
        ids, command = _ids(asked, "instance_ids", IDS_LIMIT), asked.get("command")
        if not isinstance(command, str) or len(command) > COMMAND_LIMIT or not _ALPHABET.fullmatch(command):
            raise _RefusedError(*_WRONG, "the command is empty, too long or has a character that is not allowed")
        limit = self._faults.commands_per_minute
        while self._command_times and self._command_times[0] <= self._now - 60:
            self._command_times.popleft()
        if 0 < limit <= len(self._command_times):
            raise _RefusedError(429, "APIGW.0308", "the throttling threshold has been reached")
        self._command_times.append(self._now)
        return command, ids

    def _run(self, command: str, instance_id: str) -> tuple[str, bool]:
        phone = self._phones.get(instance_id)
        if phone is None or self._faults.command_code:
            return "", True
        printed = shell.run(command, phone.device)
        return printed.text.encode()[:COMMAND_LIMIT].decode(errors="ignore"), printed.has_failed

    def _outcome(self, done: tuple[str, bool]) -> dict[str, Any]:
        """Return how a command or a job tells what became of it."""
        text, has_failed = done
        code, message = None, None
        if has_failed and not text:
            fault = self._faults.command_code
            code, message = (fault, "as injected") if fault else ("CPS0005", "Phone not found.")
        status = TASK_FAILED if has_failed else TASK_DONE
        return {"status": status, "error_code": code, "error_msg": message, "execute_msg": text}

    def _begin(self, prefix: str, work: dict[str, Callable[[], tuple[str, bool]]]) -> dict[str, Any]:
        """Begin a task with one job an instance."""
        task_id, due = f"{prefix}{secrets.token_hex(12)}", self._now + self._faults.task_s
        jobs = {each: _Job(job_id=secrets.token_hex(12), due=due, work=job) for each, job in work.items()}
        self._tasks[task_id] = list(jobs.values())
        while len(self._tasks) > TASKS_LIMIT:
            del self._tasks[next(iter(self._tasks))]
        self._work()
        cmd_jobs = [{"instance_id": each, "job_id": job.job_id} for each, job in jobs.items()]
        return {"task_id": task_id, "cmd_jobs": cmd_jobs}

    def _work(self) -> None:
        """Do the jobs that are due."""
        for job in [job for jobs in self._tasks.values() for job in jobs]:
            if job.done is None and job.due <= self._now:
                job.done = job.work()

    def _task(self, task_id: str) -> Any:
        if task_id not in self._tasks:
            raise _RefusedError(200, "KOOPHONE.API.1323", "there is no such task")
        running = {"status": TASK_RUNNING, "error_code": None, "error_msg": None, "execute_msg": None}
        return {
            "jobs": [
                {"job_id": job.job_id, **(running if job.done is None else self._outcome(job.done))}
                for job in self._tasks[task_id]
            ]
        }

    def _install(self, asked: Any) -> Any:
        ids = _ids(asked, "instance_id_list", IDS_LIMIT)
        name, url = asked.get("object_name"), asked.get("install_package_url")
        if not isinstance(name, str) or not _PACKAGE.fullmatch(name) or len(name) > 255 or not isinstance(url, str):
            raise _RefusedError(*_WRONG, "object_name is not a package, or install_package_url is missing")
        version = "".join(filter(str.isprintable, str(asked.get("object_version") or "1.0.0")))[:64]  # it is drawn
        package = Package(name=name, label=name.rpartition(".")[2].capitalize()[:12], version=version)

        def install(instance_id: str) -> tuple[str, bool]:
            phone = self._phones.get(instance_id)
            return "", phone is None or bool(self._faults.command_code) or not phone.device.install(package)

        return self._begin("ZGCA", {each: partial(install, each) for each in ids})

    def _app_list(self, instance_id: str, query: dict[str, str]) -> Any:
        phone = self._mine([instance_id])[0]
        kind = query.get("app_type", "")
        if kind not in {"", "1", "2"}:
            raise _RefusedError(*_WRONG, "app_type is neither 1 nor 2")
        apps = [each for each in phone.device.packages.values() if not kind or each.is_system == (kind == "1")]
        return _page(
            query,
            [
                {"app_name": app.label, "app_version": app.version, "app_pkg": app.name, "icon_url": None}
                for app in apps
            ],
        )

    def _query_status(self, asked: Any) -> Any:
        ids = _ids(asked, "instance_ids", IDS_LIMIT)
        known = {each: self._phones[each].status if each in self._phones else _UNKNOWN for each in ids}
        return {"status_results": [{"instance_id": each, "status": status} for each, status in known.items()]}

    def _query(self, query: Any) -> Any:
        wanted, name = query.get("instance_id"), query.get("instance_name", "")
        found = [
            {
                "instance_id": phone.instance_id,
                "instance_name": phone.instance_id,
                "region": "cn-south-1",
                "instance_sku": "emulator",
                "frozen_status": 0,
                "running_status": phone.status,
                "assign_status": 1,
                "phone_id": f"box-{phone.instance_id}",
            }
            for phone in self._phones.values()
            if wanted in {None, "", phone.instance_id} and name in phone.instance_id
        ]
        return _page(query, found)

    def _reboot(self, asked: Any) -> Any:
        phones = self._mine(_ids(asked, "instance_ids", IDS_LIMIT))
        if any(phone.status != RUNNING for phone in phones):
            raise _RefusedError(200, "KOOPHONE.API.5005", "not all instances are running")
        for phone in phones:
            phone.reboot()

    def _reset(self, asked: Any) -> Any:
        phones = self._mine(_ids(asked, "instance_ids", IDS_LIMIT))

        def reset(phone: Phone) -> tuple[str, bool]:
            phone.reset()
            return "", False

        return self._begin("RM_", {each.instance_id: partial(reset, each) for each in phones})

    def _set_video(self, asked: Any) -> Any:
        phones = self._mine(_ids(asked, "instance_ids", VIDEO_IDS_LIMIT))
        specs = _wifi_specs(asked.get("instance_settings"))
        for phone in phones:
            short = min(phone.device.size)
            name = next(name for name, side in _DEFINITIONS if short <= side)
            if name in specs:
                phone.set_video(*specs[name])

    def _mine(self, ids: list[str]) -> list[Phone]:
        if any(each not in self._phones for each in ids):
            raise _RefusedError(*_NOT_YOURS)
        return [self._phones[each] for each in ids]


def _ids(asked: Any, name: str, limit: int) -> list[str]:
    """Return the instances that a call names, each once."""
    ids = asked.get(name)
    if not isinstance(ids, list) or not 0 < len(ids) <= limit or not all(_is_id(each) for each in ids):
        raise _RefusedError(*_WRONG, f"{name} is not a list of 1 to {limit} instance ids")
    return list(dict.fromkeys(ids))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 32


def _page(query: dict[str, str], entries: list[Any]) -> dict[str, Any]:
    """Return one page of entries; pages count from 1 [assumed]."""
    number, size = query.get("page_no", "1"), query.get("page_size", "10")
    if not (number.isdecimal() and size.isdecimal() and len(number) < 10 and 1 <= int(size) <= PAGE_LIMIT):
        raise _RefusedError(*_WRONG, "page_no or page_size is wrong")
    first = max(int(number) - 1, 0) * int(size)
    page = entries[first : first + int(size)]
    return {"result": page, "page_no": int(number), "page_size": int(size), "total_count": len(entries)}


def _wifi_specs(settings: Any) -> dict[str, tuple[int, int]]:
    """Return frames a second and bits a second for each definition, as for Wi-Fi. All networks' are checked."""
    specs: list[tuple[Any, ...]] = []
    try:
        specs = [
            (setting["network_type"], setting["encoding_type"], name, spec["fps"], spec["code_rate"])
            for setting in settings
            for group in setting["video_spec_groups"]
            for name, spec in group.items()
        ]
        is_right = all(
            network in {"WIFI", "MOBILE_NETWORK", "WIRED"}
            and encoding in {"H264", "H265"}
            and name in dict(_DEFINITIONS)
            and fps in {30, 60}
            and rate in range(0, 10001, 100)
            for network, encoding, name, fps, rate in specs
        )
    except (AttributeError, KeyError, TypeError):
        is_right = False
    if not is_right:
        raise _RefusedError(*_WRONG, "instance_settings are wrong")
    return {
        name: (fps, rate * 1000)
        for network, encoding, name, fps, rate in specs
        if (network, encoding) == ("WIFI", "H264")
    }
