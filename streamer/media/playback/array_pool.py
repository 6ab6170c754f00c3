"""Memory for arrays of pixels, used again once nobody holds the array that had it.

A frame at 1080p is 6 MB as BGR. An allocator may give memory of that size back to the kernel each time, and get it anew
page by page: 500 to 1,000 page faults a frame, measured with a fixed MALLOC_MMAP_THRESHOLD_. glibc alone learns to keep
it. So the memory of an array that died waits for the next array of its size, whatever the allocator does.

    view ──base──► array ──base──► memory
                     └─finalizer──► append the memory to the free list of its size

The memory is a bytearray, because NumPy gives a view the array at the end of the chain as its base. An array whose own
base is no array is that end, so it dies with its last view. That may happen in any thread, also in the middle of
`take` when the collector runs there. Therefore the finalizer takes no lock: it appends to a deque.
"""

import threading
import weakref
from collections import OrderedDict, deque
from typing import Final

import numpy as np
import numpy.typing as npt

from streamer.media.playback.lending import renewed_in_forks

SLACK: Final = 64  # bytes behind each array, for code that writes whole blocks of pixels
LEAST: Final = 128 * 1024  # bytes: malloc itself uses smaller pieces again
FREE_LIMIT: Final = 32 * 1024 * 1024  # bytes that wait, for each size: 5 frames at 1080p, 12 at 720p
SIZES_LIMIT: Final = 4  # sizes of which memory waits: the latest ones


class ArrayPool:
    """Gives arrays, and takes their memory back when they die. Any thread may use it.

    At most `sizes` sizes have memory that waits, and each of them at most `free_limit` bytes, or one piece if that is
    larger. Memory in arrays that are alive is not limited.
    """

    def __init__(self, *, free_limit: int = FREE_LIMIT, sizes: int = SIZES_LIMIT) -> None:
        self._free_limit = free_limit
        self._sizes = sizes
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the memory that waits."""
        self._lock = threading.Lock()
        self._free: OrderedDict[int, deque[bytearray]] = OrderedDict()  # by size in bytes; the latest used is the last

    def take(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Return a C-contiguous uint8 array with any values in it. `SLACK` bytes behind it may be overwritten, too."""
        size = int(np.prod(shape, dtype=np.int64))
        if size < LEAST:
            return np.ndarray(shape, np.uint8, buffer=np.empty(size + SLACK, np.uint8))
        free = self._free_of(size)
        try:
            memory = free.pop()
        except IndexError:
            memory = bytearray(size + SLACK)
        array: npt.NDArray[np.uint8] = np.ndarray(shape, np.uint8, buffer=memory)
        weakref.finalize(array, self._take_back, size, memory).atexit = False
        return array

    @property
    def free_bytes(self) -> int:
        """How much memory waits for the next arrays."""
        with self._lock:
            return sum((size + SLACK) * len(free) for size, free in self._free.items())

    def _free_of(self, size: int) -> "deque[bytearray]":
        with self._lock:
            if (free := self._free.get(size)) is None:
                # A full deque drops its oldest piece.
                free = self._free[size] = deque(maxlen=max(self._free_limit // size, 1))
            self._free.move_to_end(size)
            while len(self._free) > self._sizes:
                self._free.popitem(last=False)
            return free

    def _take_back(self, size: int, memory: bytearray) -> None:
        if (free := self._free.get(size)) is not None:  # memory of a size that was forgotten is freed
            free.append(memory)


ARRAYS: Final = renewed_in_forks(ArrayPool())  # of this process
