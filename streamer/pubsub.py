"""One producer, many consumers, each with a mailbox of its own.

The consumer holds a `HubIterator`. The hub holds the iterator's `Subscription` and never the iterator itself:

    hub ──► subscription ◄── iterator ◄── the consumer
                 │                ▲
                 └──► future ──► task, only while it waits in `__anext__`

A consumer unsubscribes by dropping its iterator, such as by `break` or a time-out around the loop. A task that waits
keeps its iterator alive. An iterator in a reference cycle lives until the collector runs. Two rules limit its cost:

1. The hub offers each item to all subscriptions. A mailbox that nobody reads holds only recent items: the newest
   frame, 250 pieces of audio, 100 events, or frames of the last 120. All such mailboxes share their items.
2. A consumer that stops reading becomes idle (see `mailbox`). If all consumers are idle, nobody watches the hub, and
   its owner stops producing. The next read starts it again.
"""

import asyncio
import weakref
from collections.abc import Callable
from typing import Generic, NoReturn, Self, TypeVar

from streamer.mailbox import Mailbox
from streamer.own_loop import OwnLoop

T = TypeVar("T")


class Subscription(Generic[T]):
    """One consumer, as the hub knows it."""

    def __init__(self, mailbox: Mailbox[T]) -> None:
        self.mailbox = mailbox
        self.has_ended = False
        self.error: BaseException | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.due_s = 0.0  # when the consumer wants its next item, by the event loop's clock; 0: it wants every one

    @property
    def is_idle(self) -> bool:
        """Whether the consumer is not waiting and has too many unread items."""
        return self.waiter is None and self.mailbox.is_idle

    def put(self, item: T) -> None:
        """Offer an item; never waits."""
        self.mailbox.put(item)
        self.wake()

    def end(self, error: BaseException | None) -> None:
        """End the iteration after the items in the mailbox, with `error` if there is one."""
        self.has_ended, self.error = True, error
        self.wake()

    def wake(self) -> None:
        """Wake the task that waits."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Hub(Generic[T]):
    """Offers each item to every subscription.

    `loop` is the event loop of the consumers. The hub calls `on_watch(True)` when the first consumer begins to read,
    and `on_watch(False)` when none reads any more: all iterators are closed, freed, or idle.
    """

    def __init__(self, on_watch: Callable[[bool], None] = lambda _: None, *, loop: OwnLoop | None = None) -> None:
        self.loop = loop or OwnLoop()
        self.is_watched = False  # whether anybody reads
        self._on_watch = on_watch
        self._subscriptions: set[Subscription[T]] = set()
        self._skipped_before = 0  # by former consumers
        self._has_ended = False
        self._error: BaseException | None = None

    @property
    def skipped(self) -> int:
        """How many items consumers did not get because they were too slow, summed over all."""
        return self._skipped_before + sum(each.mailbox.dropped for each in tuple(self._subscriptions))

    def publish(self, item: T) -> None:
        """Offer an item to every consumer; never waits."""
        for subscription in tuple(self._subscriptions):
            subscription.put(item)
        self.look()

    def end(self, error: BaseException | None) -> None:
        """End every iterator after the items in its mailbox, with `error` if there is one."""
        self._has_ended, self._error = True, error
        for subscription in tuple(self._subscriptions):
            subscription.end(error)

    def subscribe(self, mailbox: Mailbox[T]) -> Subscription[T]:
        """Return a new subscription, which gets all items from now on."""
        subscription = Subscription(mailbox)
        self.add(subscription)
        return subscription

    def add(self, subscription: Subscription[T]) -> None:
        """Offer all items from now on to a subscription."""
        if self._has_ended:
            subscription.end(self._error)
        else:
            self._subscriptions.add(subscription)
            self.look()

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        """Offer nothing more to a subscription. It may be gone already."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._skipped_before += subscription.mailbox.dropped
            self.look()

    def look(self) -> None:
        """Check whether anybody reads, and call `on_watch` if that changed."""
        is_watched = not all(subscription.is_idle for subscription in tuple(self._subscriptions))
        if is_watched != self.is_watched and not self._has_ended:
            self.is_watched = is_watched
            self._on_watch(is_watched)


def two_readers() -> RuntimeError:
    """Return the error of an iterator that two tasks read at the same time."""
    return RuntimeError("expected one task to read this iterator, got two: give each task its own")


class HubIterator(Generic[T]):
    """The consumer's side. One task may read it at a time. The consumer closes it, or drops it."""

    def __init__(self, hub: Hub[T], mailbox: Mailbox[T]) -> None:
        self._hub = hub
        self._mailbox = mailbox
        self._subscription = hub.subscribe(mailbox)
        # The collector may run in any thread, so the unsubscription happens in the loop.
        self._finalizer = weakref.finalize(self, hub.loop.call_soon, hub.unsubscribe, self._subscription)
        self._finalizer.atexit = False

    @property
    def skipped(self) -> int:
        """How many items this consumer did not get because it was too slow."""
        return self._mailbox.dropped

    def __aiter__(self) -> Self:
        return self

    def close(self) -> None:
        """Take no more items; iteration ends after those it has. Raises ConfigurationError in another loop."""
        self._hub.loop.check()
        self._finalizer.detach()
        self._subscription.has_ended = True
        self._subscription.wake()
        self._hub.unsubscribe(self._subscription)

    async def aclose(self) -> None:
        """The same as `close`, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def _has_ended(self) -> bool:
        return self._subscription.has_ended

    def _take(self) -> T | None:
        """Return the next item, None if there is none."""
        self._hub.loop.check()
        was_idle = self._subscription.is_idle
        item = self._mailbox.take()
        if was_idle:
            self._hub.look()
        return item

    def _raise_end(self) -> NoReturn:
        """Raise the error that ended the session, once; then, or without one, StopAsyncIteration."""
        error, self._subscription.error = self._subscription.error, None
        raise error or StopAsyncIteration

    async def _change(self) -> None:
        """Wait for an item or the end. Raises RuntimeError if another task waits already."""
        loop, subscription = self._hub.loop.check(), self._subscription
        if subscription.waiter is not None:
            raise two_readers()
        subscription.waiter = loop.create_future()
        try:
            await subscription.waiter
        finally:
            subscription.waiter = None
