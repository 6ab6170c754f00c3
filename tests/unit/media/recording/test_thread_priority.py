"""What an encoder does to the priority of threads is undone."""

import os
import threading
from pathlib import Path

import pytest

from streamer.media.recording.thread_priority import ordinary_priority
from tests.support.senders import encoded_as

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc here")


def policies() -> set[int]:
    return {os.sched_getscheduler(int(entry.name)) for entry in Path("/proc/self/task").iterdir()}


def test_an_av1_encoder_leaves_the_scheduling_of_every_thread_unchanged() -> None:
    before = policies()
    encoded_as("av1", 2)
    assert policies() == before


def test_a_change_inside_is_undone_for_this_thread_and_for_new_ones() -> None:
    go_on, policy = threading.Event(), os.sched_getscheduler(0)
    with ordinary_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        thread = threading.Thread(target=go_on.wait)
        thread.start()
        assert thread.native_id is not None
        assert os.sched_getscheduler(thread.native_id) == os.SCHED_BATCH
    assert os.sched_getscheduler(thread.native_id) == os.sched_getscheduler(0) == policy
    go_on.set()
    thread.join()


def test_an_error_inside_is_raised_and_the_change_undone() -> None:
    policy = os.sched_getscheduler(0)
    with pytest.raises(ZeroDivisionError), ordinary_priority():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        raise ZeroDivisionError
    assert os.sched_getscheduler(0) == policy
