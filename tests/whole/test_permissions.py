"""The permissions of written files: no wider than the umask and the replaced file allow."""

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import streamer
from streamer import emulator
from streamer.atomic_file import write_atomically
from tests.support.everywhere import Connect

LIMIT_S: Final = 40.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no umask here")


@pytest.fixture(params=[0o077, 0o027, 0o002], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The modes of files that took another's place, as they were just before."""
    modes: list[int] = []
    replace = Path.replace

    def note_and_replace(draft: Path, target: Any) -> Path:
        modes.append(mode_of(draft))
        return replace(draft, target)

    monkeypatch.setattr(Path, "replace", note_and_replace)
    return modes


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_every_file_has_the_permissions_that_the_umask_leaves(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, umask: int, drafts: list[int]
) -> None:
    expected = 0o666 & ~umask
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        files = session.record(tmp_path / "{}.mp4", segment_s=1, manifest=tmp_path / "all.jsonl", max_duration_s=2.5)
        others = [session.record(tmp_path / name) for name in ("a.mkv", "a.ts")]
        while any(recording.frames < 10 for recording in (files, *others)):
            await asyncio.sleep(0.01)
        under_way = {path.name: oct(mode_of(path)) for path in tmp_path.glob("a.*")}
        assert under_way == dict.fromkeys(("a.mkv", "a.ts"), oct(expected))
        (await session.screenshot()).save(tmp_path / "screen.png")
        await files.closed()
    segments = sorted(tmp_path.glob("*.mp4"))
    assert len(segments) >= 2
    await streamer.clip(segments[0], 0, 0.5, tmp_path / "clip.webp")
    names = {path.name for path in tmp_path.iterdir()}
    assert names > {"a.mkv", "a.ts", "all.jsonl", "screen.png", "clip.webp"}
    assert {path.name: oct(mode_of(path)) for path in tmp_path.iterdir()} == dict.fromkeys(names, oct(expected))
    assert len(drafts) >= 4
    assert set(drafts) == {expected}


async def test_a_private_file_stays_private_when_it_is_replaced(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, drafts: list[int]
) -> None:
    places = [tmp_path / name for name in ("a.mp4", "screen.png")]
    for place in places:
        place.touch(0o600)
    before = os.umask(0o022)
    try:
        async with connect(phone) as session, asyncio.timeout(LIMIT_S):
            async with session.record(places[0], overwrite=True, max_duration_s=0.5) as recording:
                await recording.closed()
            (await session.screenshot()).save(places[1])
    finally:
        os.umask(before)
    assert [oct(mode_of(place)) for place in places] == ["0o600"] * 2
    assert drafts == [0o600] * 2


def test_a_link_in_the_place_of_a_draft_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, place = tmp_path / "victim", tmp_path / "screen.png"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr("threading.get_ident", lambda: 2)
    (tmp_path / ".screen.png.1-2.part").symlink_to(victim)
    write_atomically(place, b"frame")
    assert (victim.read_bytes(), place.read_bytes(), place.is_symlink()) == (b"precious", b"frame", False)
