"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc

import streamer
from streamer.sync.face import Face


class Action(Face[streamer.Action]):
    """One action on the phone. It was sent: its last frame is handed to the network.

    The verbs raise InputNotReadyError, ActionLostError, what ended the session, or ConnectionFailedError: a place is a
    pixel and no frame has come.

    To know what comes of an action, use `Session.watched`. The `tap` of a target can also be asked once it was sent:
    within 10 s, before the next one is sent, and before 60 frames have come.
    """

    @property
    def sent_ns(self) -> int | None:
        """When its first frame was handed to the network; None before.

        The clock is that of `time.monotonic_ns`, as of `VideoFrame.arrival_ns`.
        """
        return self._async.sent_ns

    def changed(
        self,
        *,
        region: streamer.Region | None = None,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        timeout_s: float = 10.0,
    ) -> streamer.Change:
        """Act, if that was not done, and return the first change on the screen after that.

        The newest frame from before the action is what others are compared with. On a screen that moves by itself, any
        movement is a change: watch a region, or ignore some.

        Args:
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen not to watch.
            timeout_s: How long to wait for a change once the action is sent, in seconds.

        Raises:
            WaitTimeoutError: Nothing changed in time, or no frame came to compare with; then nothing was sent.
            ConfigurationError: An argument is wrong, nothing of the screen is left to watch, or the action was sent
                before.
            StreamerError: What sending the action raises.
        """
        return self._wait(self._async.changed, region=region, ignore=ignore, timeout_s=timeout_s)

    def settled(
        self,
        *,
        quiet_s: float = 0.3,
        region: streamer.Region | None = None,
        ignore: collections.abc.Iterable[streamer.Region] = (),
        timeout_s: float = 10.0,
        change_timeout_s: float | None = None,
    ) -> streamer.Settled:
        """Act, if that was not done, wait until the screen has changed and is still, and return how it went.

        It is still as `Session.wait_until_still` says: nothing has moved for `quiet_s`.

        Args:
            quiet_s: How long nothing may move, in seconds.
            region: The part of the screen to watch; all of it by default.
            ignore: Parts of the screen that may move, such as `[Region.STATUS_BAR]`.
            timeout_s: How long to wait once the action is sent, in seconds.
            change_timeout_s: How long of it to wait for the first change, in seconds; None is all of it. It ends the
                wait early after an action that did nothing.

        Raises:
            WaitTimeoutError: Nothing changed in time, the screen did not come to rest, or no frame came to compare
                with; then nothing was sent.
            ConfigurationError: An argument is wrong, nothing of the screen is left to watch, or the action was sent
                before.
            StreamerError: What sending the action raises.
        """
        return self._wait(
            self._async.settled,
            quiet_s=quiet_s,
            region=region,
            ignore=ignore,
            timeout_s=timeout_s,
            change_timeout_s=change_timeout_s,
        )


class Finger(Face[streamer.Finger]):
    """A finger of `Session.finger`: it goes down, moves and goes up as the program says, at once.

    Leaving the block lifts it, also after an error.
    """

    @property
    def is_down(self) -> bool:
        """Whether the finger is down."""
        return self._async.is_down

    def down(self, x: int | float, y: int | float) -> None:
        """Put the finger down.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).

        Raises:
            ActionLostError: The connection was lost since the block was entered.
            ConfigurationError: The place is outside the screen, or the finger is down already.
        """
        self._wait(self._async.down, x, y)

    def move(self, x: int | float, y: int | float) -> None:
        """Move the finger that is down. A move that is lost on the way is not sent again.

        Args:
            x: From the left: a pixel (int) or a fraction of the width (float).
            y: From the top: a pixel (int) or a fraction of the height (float).

        Raises:
            ActionLostError: The connection was lost since the block was entered.
            ConfigurationError: The place is outside the screen, or the finger is not down.
        """
        self._wait(self._async.move, x, y)

    def up(self) -> None:
        """Lift the finger where it is.

        Raises:
            ActionLostError: The connection was lost since the block was entered. The finger is lifted first on the next
                one.
            ConfigurationError: The finger is not down.
        """
        self._wait(self._async.up)
