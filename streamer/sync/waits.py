"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc

import streamer
from streamer.sync.face import Face, in_thread


class Waits(Face[streamer.Session]):
    """Waiting for the screen: the waits of a `Session`.

    Frames are decoded while at least one wait goes on, and compared in the decoder's thread. Each frame is reduced to
    blocks of about 16 x 16 pixels. A block has changed when its mean luma, from 0 to 255, differs by more than 6, or
    its mean chroma by more than 12. A wait never ends well because its time is up.
    """

    def wait_for_change(
        self,
        *,
        region: streamer.Region | None = None,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        timeout_s: float = 10.0,
    ) -> streamer.Change:
        """Wait until the screen differs from the frame that is on it now.

        Args:
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen not to watch.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: Nothing changed in time.
            ConfigurationError: An argument is wrong, or nothing of the screen is left to watch.
            StreamerError: What ended the session.
        """
        return self._wait(self._async.wait_for_change, region=region, ignore=ignore, timeout_s=timeout_s)

    def wait_until_still(
        self,
        *,
        quiet_s: float = 0.3,
        region: streamer.Region | None = None,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        timeout_s: float = 10.0,
    ) -> streamer.VideoFrame:
        """Wait until nothing has moved for `quiet_s`; return the frame that is on the screen then.

        Each frame is compared with the one with which the quiet began, so a slow fade is not still. `quiet_s` is time
        on the phone's clock. Where no frame comes, the phone must answer after the quiet, and no packet may be known to
        be missing: a stalled network is not a still screen. A quiet from before the call does not count.

        A splash screen is still, too: wait for what should be there first.

        Args:
            quiet_s: How long nothing may move, in seconds. A caret blinks every half a second: 0.3 fits in between.
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen that may move, such as `[Region.STATUS_BAR]`.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: The screen did not come to rest in time; its `moving` says where.
            ConfigurationError: An argument is wrong, or nothing of the screen is left to watch.
            StreamerError: What ended the session.
        """
        return self._wait(
            self._async.wait_until_still, quiet_s=quiet_s, region=region, ignore=ignore, timeout_s=timeout_s
        )

    def wait_for_color(
        self, x: int | float, y: int | float, color: str, *, tolerance: int = 12, timeout_s: float = 10.0
    ) -> streamer.VideoFrame:
        """Wait until a pixel has a color; return the first frame in which it has.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).
            color: Such as "#00c853": red, green and blue.
            tolerance: How far each of the three may be off, from 0 to 255. An encoder changes colors a little.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: The pixel did not have the color in time.
            ConfigurationError: An argument is wrong, or the place is outside the screen.
            StreamerError: What ended the session.
        """
        return self._wait(self._async.wait_for_color, x, y, color, tolerance=tolerance, timeout_s=timeout_s)

    def wait_for(
        self, predicate: collections.abc.Callable[[streamer.VideoFrame], bool], *, timeout_s: float = 10.0
    ) -> streamer.VideoFrame:
        """Wait until a predicate is true of the newest frame; return that frame.

        Args:
            predicate: A function that is called with the frame that is on the screen, then with each newer one. It runs
                in a thread of its own. What it raises ends the wait and reaches the caller.
            timeout_s: How long to wait, in seconds.

        Raises:
            WaitTimeoutError: It was true of no frame in time.
            ConfigurationError: `timeout_s` is not above 0.
            StreamerError: What ended the session.
        """
        return self._wait(self._async.wait_for, in_thread(predicate), timeout_s=timeout_s)
