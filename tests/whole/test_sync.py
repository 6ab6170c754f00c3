"""`streamer.sync` against an emulator, in another process and in this one."""

import asyncio
import contextlib
import json
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import streamer
from streamer import emulator, sync
from tests.faults.stages import SMALL
from tests.support.processes import Child
from tests.support.recordings import frame_count
from tests.support.visiting import visit

LIMIT_S = 60.0

ConnectNow = Callable[..., sync.Session]


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, Any]]:
    """An emulator in a process of its own, for several clients at once."""
    options = {**SMALL, "allow_many": True}
    with Child("tests.support.phone_process", json.dumps(options)) as child:
        yield child.hear()


@pytest.fixture
def connect(served: dict[str, Any]) -> Iterator[ConnectNow]:
    """Return a function that connects to it, within a time limit; afterwards nothing may be left."""

    def connect_now(**options: Any) -> sync.Session:
        return sync.connect(served["instance"], endpoint=served["endpoint"], credentials=served["token"], **options)

    with sync.timeout(LIMIT_S):
        yield connect_now
    wait_until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "streamer sync"]


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_phone_is_used_without_asyncio(connect: ConnectNow, tmp_path: Path) -> None:
    with connect(preroll_s=2) as phone:
        assert phone.state == "streaming"
        taken = [frame.sequence for _, frame in zip(range(3), phone.frames(max_fps=20), strict=False)]
        assert taken == sorted(set(taken))
        for frame in phone:
            assert frame.discontinuity
            break
        assert phone.screenshot().shape == (SMALL["height"], SMALL["width"], 3)
        with phone.record(tmp_path / "a.mp4") as recording:
            for chunk in phone.audio("f32", rate=16_000, layout="mono"):
                assert chunk.rate == 16_000
                if recording.frames >= 5:
                    break
            recording.clip(0, recording.duration_s / 2, tmp_path / "a.gif")
        for event in phone.events():
            assert event.kind == "streaming"
            break
        assert phone.stats().frames_received > 5
    assert phone.state == "closed"
    assert phone.error is None
    assert recording.is_closed
    assert recording.segments[0].path == tmp_path / "a.mp4"
    assert frame_count(tmp_path / "a.mp4") == recording.frames >= 5
    sync.clip(tmp_path / "a.mp4", 0, None, tmp_path / "b.webp")
    assert (tmp_path / "b.webp").stat().st_size > 0


def test_a_phone_without_a_block_is_closed_by_close(connect: ConnectNow) -> None:
    phone = connect()
    frames, events = phone.frames(), phone.events()
    next(frames)
    phone.close()
    phone.close()
    assert threads() == []
    assert list(frames) == []
    assert list(events) == []
    frames.close()
    for call in (phone.screenshot, phone.stats, phone.frames, lambda: phone.record("never.mp4")):
        with pytest.raises(streamer.ConnectionLostError, match="the phone demo-phone is closed: connect again"):
            call()


def test_a_closed_phone_is_closed_also_while_another_one_keeps_the_loop(connect: ConnectNow, tmp_path: Path) -> None:
    with connect() as other:
        with connect() as phone:
            frames, recording = phone.frames(), phone.record(tmp_path / "a.mp4")
            while recording.frames < 3:
                next(frames)
        assert list(frames) == []
        assert recording.is_closed
        recording.stop()
        with pytest.raises(streamer.ConnectionLostError, match="the phone demo-phone is closed: connect again"):
            phone.stats()
        assert other.screenshot().width == SMALL["width"]


BLOCKS: dict[str, Callable[[sync.Session], contextlib.AbstractContextManager[Any]]] = {
    "a viewer": lambda phone: phone.view(),
    "a finger": lambda phone: phone.finger(),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_a_block_of_a_phone_may_be_left_after_the_phone_is_closed(connect: ConnectNow, what: str) -> None:
    phone = connect()
    with BLOCKS[what](phone):
        phone.close()
    assert not threads()


@pytest.mark.parametrize("what", BLOCKS)
def test_an_error_leaves_a_block_of_a_closed_phone_as_it_is(connect: ConnectNow, what: str) -> None:
    with pytest.raises(ValueError, match="mine"), connect() as phone, BLOCKS[what](phone):
        phone.close()
        raise ValueError("mine")


def test_a_viewer_ends_with_its_block_and_not_with_its_phone(connect: ConnectNow) -> None:
    with connect(), contextlib.ExitStack() as blocks:  # the first phone keeps the loop
        with connect() as phone:
            address = ("127.0.0.1", blocks.enter_context(phone.view()).port)
        socket.create_connection(address).close()
        blocks.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_two_phones_in_two_threads_share_one_loop(connect: ConnectNow) -> None:
    meeting = threading.Barrier(2)
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        with sync.timeout(LIMIT_S), connect() as phone:
            meeting.wait(LIMIT_S)
            for count, frame in enumerate(phone.frames("every")):
                if count == 5:
                    seen.append((len(threads()), frame.width))
                    break
            meeting.wait(LIMIT_S)

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert seen == [(1, SMALL["width"])] * 2


async def test_it_works_where_an_event_loop_runs(connect: ConnectNow) -> None:
    with connect() as phone:
        assert phone.screenshot().width == SMALL["width"]
        assert next(iter(phone)).width == SMALL["width"]


async def test_it_works_beside_an_emulator_in_the_same_process() -> None:
    def work(phone: emulator.EmulatedPhone) -> int:
        with (
            sync.timeout(LIMIT_S),
            sync.connect(phone.instance_id, endpoint=phone.endpoint, credentials=phone.tenant_token) as session,
        ):
            return session.screenshot().width

    async with emulator.serve(**SMALL) as phone:
        assert await asyncio.to_thread(work, phone) == SMALL["width"]
    assert threads() == []


async def test_it_shows_the_phone_in_the_browser_until_the_page_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", visit)

    def work(phone: emulator.EmulatedPhone) -> None:
        place: dict[str, Any] = {"endpoint": phone.endpoint, "credentials": phone.tenant_token}
        with sync.timeout(LIMIT_S), sync.connect(phone.instance_id, **place) as session:
            with session.view(open_browser=True) as viewer:
                viewer.wait_closed()
                assert viewer.pages == 0
            assert viewer.url.startswith(f"http://127.0.0.1:{viewer.port}/#")
            with pytest.raises(OSError, match="refused"):
                visit(viewer.url)

    async with emulator.serve(**SMALL) as phone:
        await asyncio.to_thread(work, phone)


def touches(phone: emulator.EmulatedPhone) -> list[emulator.Touch]:
    return [frame for frame in phone.inputs if isinstance(frame, emulator.Touch)]


async def test_it_acts_on_the_phone_and_calls_its_cloud() -> None:
    def work(phone: emulator.EmulatedPhone) -> None:
        place: dict[str, Any] = {"endpoint": phone.endpoint, "credentials": streamer.Token(phone.tenant_token)}
        with sync.timeout(LIMIT_S), sync.connect(phone.instance_id, calls_per_minute=1000, **place) as session:
            tapped = session.tap(0.5, 0.25)
            assert tapped.sent_ns
            with pytest.raises(
                streamer.ConfigurationError, match=r"without asyncio phone\.watched\.tap\(\.\.\.\)\.settled"
            ):
                tapped.settled()
            with session.finger() as finger:
                finger.down(0.1, 0.1)
            with pytest.raises(ZeroDivisionError), session.finger() as finger:
                finger.down(0.2, 0.2)
                raise ZeroDivisionError
            with pytest.raises(streamer.TypingError):
                session.type("é")
            assert session.watched.tap(0.5, 0.5).changed(timeout_s=LIMIT_S).after_s >= 0
            names = set[str]()

            def is_seen(frame: streamer.VideoFrame) -> bool:
                names.add(threading.current_thread().name)
                return frame.width == session.screenshot().width  # it may wait for the phone itself

            assert session.wait_for(is_seen, timeout_s=LIMIT_S).height == SMALL["height"]
            assert "streamer sync" not in names
            session.apps.start("com.android.settings")
            with session.disable_animations():
                assert phone.device.settings["global window_animation_scale"] == "0"
            assert "global window_animation_scale" not in phone.device.settings
            with sync.Cloud(**place) as cloud:
                (known,) = cloud.list()
                assert cloud.phone(known.instance_id).shell("wm size").output == "Physical size: 180x320"
        with pytest.raises(streamer.ConnectionLostError, match="the phone demo-phone is closed"):
            session.tap(0.5, 0.5)

    async with emulator.serve(**SMALL) as phone:
        await asyncio.to_thread(work, phone)
        async with asyncio.timeout(LIMIT_S):
            while sum(touch.action == 1 for touch in touches(phone)) < 4:
                await asyncio.sleep(0.01)
    downs = [touch.points[0][1:] for touch in touches(phone) if touch.action == 0]
    assert downs == [pytest.approx(place) for place in ((0.5, 0.25), (0.1, 0.1), (0.2, 0.2), (0.5, 0.5))]


def test_a_cloud_that_the_program_drops_is_closed_with_a_warning() -> None:
    with pytest.warns(ResourceWarning, match="the Cloud was never closed"):
        sync.Cloud(endpoint="http://127.0.0.1:9", credentials="token")
    wait_until(lambda: not threads())


def test_an_iterator_that_the_program_drops_is_closed(connect: ConnectNow) -> None:
    with connect() as phone:
        hub = phone._async._frames.hub
        for _ in phone.frames():
            assert hub.is_watched
            break
        wait_until(lambda: not hub.is_watched)


def test_an_iterator_in_another_thread_ends_with_the_phone(connect: ConnectNow) -> None:
    got = threading.Event()
    phone = connect()

    def read() -> None:
        for _ in phone.frames():
            got.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert got.wait(LIMIT_S)
    phone.close()
    reader.join()


def test_an_exception_leaves_the_block_as_it_is_and_closes_the_phone(connect: ConnectNow, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), connect() as phone, phone.record(tmp_path / "a.mp4"):
        next(iter(phone))
        raise ZeroDivisionError
    assert phone.state == "closed"
    assert threads() == []


def test_a_connection_that_fails_raises_the_async_faces_error_and_leaves_nothing(served: dict[str, Any]) -> None:
    with pytest.raises(streamer.CredentialsError):
        sync.connect(served["instance"], endpoint=served["endpoint"], credentials="wrong")
    assert threads() == []


def test_a_time_limit_around_the_block_ends_a_wait_and_the_phone_is_closed(connect: ConnectNow) -> None:
    with pytest.raises(TimeoutError, match=r"timed out after 0\.2 s"), connect() as phone, sync.timeout(0.2):
        phone.wait_ended()
    assert phone.state == "closed"


def test_a_phone_that_the_program_drops_is_closed_with_a_warning(connect: ConnectNow) -> None:
    kept = [connect().frames()]
    assert next(kept[0]).width == SMALL["width"]  # an iterator keeps its phone
    with pytest.warns(ResourceWarning, match="the phone demo-phone was never closed: use `with`"):
        kept.clear()


def test_opening_and_closing_again_and_again_leaves_no_thread(connect: ConnectNow) -> None:
    with connect():
        pass
    before = threading.active_count()
    for _ in range(10):
        with connect():
            assert len(threads()) == 1
    wait_until(lambda: threading.active_count() <= before)
