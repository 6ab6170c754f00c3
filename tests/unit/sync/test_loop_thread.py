"""The loop of `streamer.sync` with calls that need no phone."""

import asyncio
import threading
import time

import pytest

import streamer
from streamer.sync.loop_thread import EndedError, LoopThread, begin_use
from streamer.sync.waiting import timeout

LIMIT_S = 20.0


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "streamer sync"]


async def echo(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    raise ZeroDivisionError


async def current() -> str:
    return threading.current_thread().name


def test_a_call_runs_in_the_thread_of_the_loop_and_gives_its_result() -> None:
    loop = begin_use()
    try:
        assert loop.wait(echo, 5) == 5
        assert loop.wait(current) == "streamer sync"
        assert names() == ["streamer sync"]
    finally:
        loop.end_use()
    assert names() == []


def test_a_call_raises_what_it_raised() -> None:
    loop = begin_use()
    try:
        with pytest.raises(ZeroDivisionError):
            loop.wait(fail)
        assert loop.wait(echo, 1) == 1
    finally:
        loop.end_use()


def test_all_uses_share_one_loop_and_the_last_one_ends_it() -> None:
    first, second = begin_use(), begin_use()
    assert first is second
    first.end_use()
    assert second.wait(echo, 1) == 1
    second.end_use()
    with pytest.raises(EndedError):
        second.wait(echo, 1)
    third = begin_use()
    assert third is not first
    third.end_use()
    assert names() == []


def test_many_uses_one_after_another_leave_no_thread() -> None:
    before = threading.active_count()
    for number in range(200):
        loop = begin_use()
        assert loop.wait(echo, number) == number
        loop.end_use()
    assert threading.active_count() <= before


def test_threads_that_use_it_at_once_share_it() -> None:
    seen: list[LoopThread] = []
    meeting = threading.Barrier(8)

    def use() -> None:
        loop = begin_use()
        meeting.wait(LIMIT_S)
        seen.append(loop)
        assert [loop.wait(echo, number) for number in range(20)] == list(range(20))
        meeting.wait(LIMIT_S)
        loop.end_use()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(map(id, seen))) == 1
    assert names() == []


async def test_it_is_used_where_a_loop_runs_already() -> None:
    loop = begin_use()
    try:
        assert loop.wait(echo, 5) == 5
    finally:
        loop.end_use()


def test_a_call_from_its_own_thread_is_refused_instead_of_waiting_for_itself() -> None:
    loop = begin_use()

    async def call_again() -> None:
        loop.wait(echo, 1)

    try:
        with pytest.raises(streamer.ConfigurationError, match="expected a call in a thread of yours"):
            loop.wait(call_again)
    finally:
        loop.end_use()


def test_an_exception_in_the_waiting_thread_cancels_the_call_and_waits_for_its_end() -> None:
    loop = begin_use()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("ended")

    try:
        with pytest.raises(TimeoutError, match=r"timed out after 0\.01 s, the limit of the block"), timeout(0.01):
            loop.wait(work)
        assert ended == ["ended"]
    finally:
        loop.end_use()


def test_a_limit_expires_once_so_that_what_closes_the_phone_can_wait() -> None:
    loop = begin_use()
    never = asyncio.Event()
    try:
        with timeout(0.01):
            with pytest.raises(TimeoutError):
                loop.wait(never.wait)
            assert loop.wait(echo, 1) == 1
    finally:
        loop.end_use()


def test_the_shortest_limit_around_a_call_counts_and_only_in_its_block() -> None:
    loop = begin_use()
    never = asyncio.Event()
    try:
        with timeout(None), timeout(LIMIT_S):
            with pytest.raises(TimeoutError, match=r"after 0\.01 s"), timeout(0.01):
                loop.wait(never.wait)
            assert loop.wait(echo, 1) == 1
        with pytest.raises(TimeoutError, match=r"after 0\.02 s"), timeout(0.02), timeout(LIMIT_S):
            loop.wait(never.wait)
        assert loop.wait(echo, 1) == 1
    finally:
        loop.end_use()


def test_a_limit_that_is_over_before_the_call_ends_it_too() -> None:
    loop = begin_use()
    try:
        with timeout(0.0):
            until = time.monotonic()
            while time.monotonic() <= until:
                pass
            with pytest.raises(TimeoutError):
                loop.wait(asyncio.Event().wait)
    finally:
        loop.end_use()


def test_what_is_still_waiting_when_the_program_ends_is_told_so() -> None:
    loop = begin_use()
    begun = threading.Event()
    caught: list[BaseException] = []

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            loop.wait(work)
        except streamer.ConnectionLostError as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(LIMIT_S)
    loop.close_all()
    thread.join()
    assert [str(error) for error in caught] == ["the phone was closed before the call had ended"]
    assert names() == []
    with pytest.raises(EndedError):
        loop.wait(echo, 1)
    loop.end_use()
