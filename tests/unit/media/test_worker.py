"""The thread that works through a bounded inbox."""

import asyncio
import threading

import pytest

from streamer.media.worker import PacedWorker, Worker

LIMIT_S = 20.0


class Job:
    """Work that waits for its permission, and says what was done."""

    def __init__(self, *, limit: int = 5) -> None:
        self.done: list[int] = []
        self.finished = 0
        self.started = threading.Event()
        self.permission = threading.Event()
        self.worker: Worker[int] = Worker("decode test", self._work, self._finish, limit=limit)

    def _work(self, item: int) -> None:
        self.started.set()
        assert self.permission.wait(LIMIT_S)
        if item < 0:
            raise ZeroDivisionError(item)
        self.done.append(item)

    def _finish(self) -> None:
        self.finished += 1


def running() -> bool:
    return "decode test" in {thread.name for thread in threading.enumerate()}


async def test_items_are_worked_through_in_order_and_closing_waits_for_the_last() -> None:
    job = Job(limit=100)
    job.permission.set()
    assert all(job.worker.put(number) for number in range(100))
    async with asyncio.timeout(LIMIT_S):
        await job.worker.aclose()
    assert job.done == list(range(100))
    assert (job.finished, running()) == (1, False)


async def test_a_full_inbox_refuses_and_can_be_emptied() -> None:
    job = Job(limit=5)
    job.worker.put(0)
    assert await asyncio.to_thread(job.started.wait, LIMIT_S)  # the first is in the thread's hands
    assert [job.worker.put(number) for number in range(1, 8)] == [True] * 5 + [False] * 2
    assert job.worker.discard() == 5
    assert job.worker.put(9)
    job.permission.set()
    await job.worker.aclose()
    assert job.done == [0, 9]


async def test_a_closed_worker_takes_nothing_and_closing_again_does_no_harm() -> None:
    job = Job()
    job.permission.set()
    await asyncio.gather(job.worker.aclose(), job.worker.aclose())
    assert not job.worker.put(1)
    await job.worker.aclose()
    assert (job.done, job.finished) == ([], 1)


async def test_a_cancelled_close_returns_and_the_thread_still_ends() -> None:
    job = Job()
    job.worker.put(1)
    closing = asyncio.ensure_future(job.worker.aclose())
    assert await asyncio.to_thread(job.started.wait, LIMIT_S)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    job.permission.set()
    async with asyncio.timeout(LIMIT_S):
        await job.worker.aclose()
    assert (job.done, job.finished, running()) == ([1], 1, False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_exception_in_the_work_ends_the_thread_through_finish() -> None:
    job = Job()
    job.permission.set()
    job.worker.put(-1)
    async with asyncio.timeout(LIMIT_S):
        await job.worker.aclose()
    assert (job.done, job.finished, running()) == ([], 1, False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_ended_by_an_exception_takes_nothing_more() -> None:
    job = Job()
    thread = next(thread for thread in threading.enumerate() if thread.name == "decode test")
    job.permission.set()
    job.worker.put(-1)
    await asyncio.to_thread(thread.join, LIMIT_S)
    assert not job.worker.put(1)
    await job.worker.aclose()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_closing_returns_even_if_finish_raises() -> None:
    def finish() -> None:
        raise ZeroDivisionError

    worker: Worker[int] = Worker("decode test", lambda _: None, finish, limit=1)
    async with asyncio.timeout(LIMIT_S):
        await worker.aclose()
    assert not running()


def test_a_closed_loop_does_not_keep_the_thread() -> None:
    async def leave() -> Job:
        return Job()

    job = asyncio.run(leave())
    job.permission.set()
    thread = next(thread for thread in threading.enumerate() if thread.name == "decode test")
    with pytest.raises(RuntimeError):
        asyncio.run(job.worker.aclose())  # another loop than the worker's
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert job.finished == 1


# A worker that wakes from time to time


class PacedJob:
    """Work that is done at once, and says in what order."""

    def __init__(self, *, every_s: float = 0.001, limit: int = 100) -> None:
        self.said: list[int | str] = []
        self.ticked = threading.Event()
        self.worker: PacedWorker[int] = PacedWorker(
            "decode test", self._work, self._tick, lambda: self.said.append("end"), limit=limit, every_s=every_s
        )

    def _work(self, item: int) -> None:
        if item < 0:
            raise ZeroDivisionError(item)
        self.said.append(item)

    def _tick(self) -> None:
        self.said.append("tick")
        self.ticked.set()


async def test_a_paced_worker_ticks_after_items_and_without_any() -> None:
    job = PacedJob()
    assert await asyncio.to_thread(job.ticked.wait, LIMIT_S)
    for number in range(50):
        assert job.worker.put(number)
    job.ticked.clear()
    assert await asyncio.to_thread(job.ticked.wait, LIMIT_S)
    await job.worker.aclose()
    assert [said for said in job.said if isinstance(said, int)] == list(range(50))
    assert job.said.count("tick") >= 2
    assert job.said[-1] == "end"


async def test_a_paced_worker_that_is_closed_works_through_its_inbox_at_once_and_ends() -> None:
    job = PacedJob(every_s=1000)
    assert [job.worker.put(number) for number in range(102)] == [True] * 100 + [False] * 2
    assert job.worker.waiting == 100
    async with asyncio.timeout(LIMIT_S):
        await job.worker.aclose()
    assert job.said == [*range(100), "end"]
    assert not running()


@pytest.mark.parametrize("turns", range(6))
async def test_a_paced_worker_may_be_closed_at_any_moment(turns: int) -> None:
    job = PacedJob(every_s=0)
    for number in range(turns):
        job.worker.put(number)
        await asyncio.sleep(0)
    async with asyncio.timeout(LIMIT_S):
        await job.worker.aclose()
    assert [said for said in job.said if isinstance(said, int)] == list(range(turns))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_exception_ends_a_paced_worker_through_finish() -> None:
    job = PacedJob()
    job.worker.put(-1)
    async with asyncio.timeout(LIMIT_S):
        await job.worker.aclose()
    assert job.said[-1] == "end"
    assert not running()
