"""Recordings under everything that may go wrong with them. The benchmarks do the same for longer."""

import os
from pathlib import Path

import pytest

from streamer.media.recording import recording
from tests.support import recording_proofs as proofs

SMALL = {"width": 360, "height": 640}


@pytest.mark.alone
async def test_every_kind_of_file_holds_what_the_phone_sent_rotated_and_still(tmp_path: Path) -> None:
    found = await proofs.exact(tmp_path, seconds=20, **SMALL)
    assert (found["lost"], found["dropped"]) == (0, 0)
    for path, of in found["files"].items():
        assert of["video"].packets > 200
        for comparison in of.values():
            assert comparison.is_exact
            assert comparison.missing == 0
        assert of["video"].worst_step_s < (1.1e-3 if path.suffix == ".mkv" else 1e-4)
        assert of["video"].longest_s > 0.9 * found["still_s"]
    assert proofs.counter_gaps(found["counters"]) == 0
    assert len(found["counters"]) == found["recordings"][0].frames


async def test_a_process_killed_at_any_moment_leaves_files_that_lack_only_the_last_moments(
    tmp_path: Path,
) -> None:
    files = await proofs.killed(tmp_path, times=10, seed=2, longest_s=4, at_once=5)
    for left in files:
        has_head_only = left["size"] < 2000 and left["after_s"] < 2  # a busy machine has not written a frame by then
        assert left["opens"] or has_head_only, left["complaint"]
        for kind in ("video", "audio"):
            assert left[kind].is_exact
            assert left[kind].missing == 0
        assert max(left["lost_s"].values()) < 5  # one or two, on a machine that has time
    assert any(left["video"].packets for left in files)


async def test_a_full_disk_ends_a_recording_with_an_error_and_a_whole_file_and_spares_the_others(
    tmp_path: Path,
) -> None:
    try:
        *ended, beside = await proofs.full(tmp_path, **SMALL, bitrate_bps=3_000_000)
    except OSError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    for item in ended:
        assert item["error"].reason == "disk-full"
        assert "No space left on device" in str(item["error"])
        assert item["video"].packets == item["decoded"] > 30
        uncounted = item["decoded"] - item["frames"]
        assert 0 <= uncounted <= (item["suffix"] != ".mp4")  # libavformat does not tell what it has written
    assert beside["error"] is None
    for item in (*ended, beside):
        assert item["video"].is_exact
        assert item["video"].missing == 0


async def test_an_unread_pipe_harms_no_consumer_and_its_recording_resumes_at_a_keyframe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "INBOX_LIMIT", 160)  # two seconds
    found = await proofs.slow(tmp_path, flowing_s=3, stalled_s=5, **SMALL)
    assert (found["skipped"], found["lost"]) == (0, 0)
    assert len(found["ages"]["stalled"]) > 75
    assert max(found["ages"]["stalled"]) < 2  # a part of what the pipe stood still
    video, audio = found["files"]["video"], found["files"]["audio"]
    assert video.is_exact
    assert audio.is_exact
    assert video.missing > 0
    assert video.bare_gaps == 0
    assert found["dropped_meanwhile"] > 0
    assert video.missing + audio.missing == found["dropped"]
