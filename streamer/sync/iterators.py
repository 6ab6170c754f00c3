"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import typing

import streamer
from streamer.sync.face import Face


class FrameIterator(Face[streamer.FrameIterator]):
    """An iterator of frames. It ends when the session does; `close` (or `with`) ends it before.

    One thread reads it at a time. Under "latest" a slow consumer gets the newest frame; `skipped` counts the others.
    Under "every" a consumer more than the limit behind gets FramesOverflowError after the frames that were kept. An
    iterator that the program drops, such as by `break`, is closed.
    """

    def __next__(self) -> streamer.VideoFrame:
        """Return the next frame.

        Raises StopIteration once the session is closed, or the error that ended it.
        """
        return self._next(self._async.__anext__)

    @property
    def skipped(self) -> int:
        """How many items this consumer did not get because it was too slow."""
        return self._async.skipped

    def __iter__(self) -> typing.Self:
        return self

    def close(self) -> None:
        """Take no more items; iteration ends after those it has."""
        self._end(self._async.close)

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._async.__aexit__, *_)


class AudioIterator(Face[streamer.AudioIterator]):
    """An iterator of audio. It ends when the session does; `close` (or `with`) ends it before.

    One thread reads it at a time. A consumer more than 250 pieces behind, 5 s, loses the oldest: `skipped` counts them,
    and the next one has its `discontinuity` set. An iterator that the program drops, such as by `break`, is closed.
    """

    def __next__(self) -> streamer.AudioFrame:
        """Return the next piece.

        Raises StopIteration once the session is closed, or the error that ended it.
        """
        return self._next(self._async.__anext__)

    @property
    def skipped(self) -> int:
        """How many items this consumer did not get because it was too slow."""
        return self._async.skipped

    def __iter__(self) -> typing.Self:
        return self

    def close(self) -> None:
        """Take no more items; iteration ends after those it has."""
        self._end(self._async.close)

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._async.__aexit__, *_)


class AccessUnitIterator(Face[streamer.AccessUnitIterator]):
    """An iterator of encoded frames and audio, in the order in which they came. It ends when the session does.

    One thread reads it at a time. A consumer more than 1000 units or 16 MiB behind goes on with the next keyframe:
    `skipped` counts what it did not get. An iterator that the program drops, such as by `break`, is closed.
    """

    def __next__(self) -> streamer.AccessUnit:
        """Return the next access unit.

        Raises StopIteration once the session is closed, or the error that ended it.
        """
        return self._next(self._async.__anext__)

    @property
    def skipped(self) -> int:
        """How many items this consumer did not get because it was too slow."""
        return self._async.skipped

    def __iter__(self) -> typing.Self:
        return self

    def close(self) -> None:
        """Take no more items; iteration ends after those it has."""
        self._end(self._async.close)

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._async.__aexit__, *_)


class EventIterator(Face[streamer.EventIterator]):
    """An iterator of events. It begins with the event of the present state, and ends after "closed".

    One thread reads it at a time. A consumer more than 100 events behind loses the oldest; `dropped` counts them. An
    iterator that the program drops, such as by `break`, is closed.
    """

    @property
    def dropped(self) -> int:
        """How many events this consumer did not get because it was too slow."""
        return self._async.dropped

    def __next__(self) -> streamer.Event:
        """Return the next event."""
        return self._next(self._async.__anext__)

    @property
    def skipped(self) -> int:
        """How many items this consumer did not get because it was too slow."""
        return self._async.skipped

    def __iter__(self) -> typing.Self:
        return self

    def close(self) -> None:
        """Take no more items; iteration ends after those it has."""
        self._end(self._async.close)

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._async.__aexit__, *_)


class MessageIterator(Face[streamer.MessageIterator]):
    """An iterator of the phone's messages, each a dict, from its creation on.

    One thread reads it at a time. A consumer more than 100 messages behind loses the oldest; `dropped` counts them. An
    iterator that the program drops, such as by `break`, is closed.
    """

    @property
    def dropped(self) -> int:
        """How many messages this consumer did not get because it was too slow."""
        return self._async.dropped

    def __next__(self) -> dict[str, object]:
        """Return the next message."""
        return self._next(self._async.__anext__)

    @property
    def skipped(self) -> int:
        """How many items this consumer did not get because it was too slow."""
        return self._async.skipped

    def __iter__(self) -> typing.Self:
        return self

    def close(self) -> None:
        """Take no more items; iteration ends after those it has."""
        self._end(self._async.close)

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._async.__aexit__, *_)
