"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import streamer
from streamer.sync.face import Face


class Action(Face[streamer.Action]):
    """One action on the phone. It was sent: its last frame is handed to the network.

    The verbs raise InputNotReadyError, ActionLostError, what ended the session, or ConnectionFailedError: a place is a
    pixel and no frame has come.

    To know what comes of an action, use `Session.watched`.
    """

    @property
    def sent_ns(self) -> int | None:
        """When its first frame was handed to the network; None before.

        The clock is that of `time.monotonic_ns`, as of `VideoFrame.arrival_ns`.
        """
        return self._async.sent_ns


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
