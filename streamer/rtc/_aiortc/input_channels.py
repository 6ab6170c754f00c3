"""The data channels called `input`: which one is in use, and how each message on it travels."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCDataChannel, RTCPeerConnection

from streamer.protocol_constants import INPUT_CHANNEL_LABEL

BYTES_LIMIT: Final = 65_536  # not yet sent on the channel in use
OWN_AFTER_S: Final = 0.5  # after ours has opened: the phone announces its own within this time, if it does at first


class Receipt:
    """What was handed to the network, and whether the phone has acknowledged it."""

    def __init__(self, sctp: Any) -> None:
        self._sctp = sctp
        self._tsn: int | None = None  # of its last chunk; None while it waits for room

    def note_sent(self) -> None:
        """Note that the association has taken it."""
        self._tsn = (self._sctp._local_tsn - 1) % 2**32

    @property
    def is_acknowledged(self) -> bool:
        """Whether the phone has acknowledged this message and all before it."""
        return self._tsn is not None and (self._sctp._last_sacked_tsn - self._tsn) % 2**32 < 2**31


class _Reliable:
    """What aiortc's queue reads of a channel, with another promise for one message: retransmitted, and in order.

    How a message travels is the sender's choice for each (RFC 8831 sections 6.4 to 6.6): the receiver obeys the flags
    of its chunks. aiortc takes the choice from the channel.
    """

    maxRetransmits, maxPacketLifeTime, ordered = None, None, True  # noqa: N815 - as W3C names them

    def __init__(self, channel: RTCDataChannel, receipt: Receipt) -> None:
        self._channel = channel
        self._receipt = receipt

    @property
    def id(self) -> int | None:
        return self._channel.id

    def _addBufferedAmount(self, amount: int) -> None:  # noqa: N802 - aiortc's name
        if amount < 0:
            self._receipt.note_sent()
        self._channel._addBufferedAmount(amount)


class InputChannels:
    """Both channels of one connection: ours, and the phone's once it announces one. `close` stops the timer.

    The phone's is used as soon as it is announced. Ours is used until then, from OWN_AFTER_S after it has opened: a
    phone that announces one may never read ours [assumed]. `on_change` is called when another one is in use, or none;
    `on_message` for each binary message, on either.
    """

    def __init__(
        self,
        connection: RTCPeerConnection,
        *,
        on_change: Callable[[], None],
        on_message: Callable[[bytes], None],
    ) -> None:
        self._connection = connection
        self._on_change = on_change
        self._on_message = on_message
        self._own: RTCDataChannel | None = None
        self._theirs: RTCDataChannel | None = None
        self._in_use: RTCDataChannel | None = None
        self._own_timer: asyncio.TimerHandle | None = None
        self._may_use_own = False
        self._last: Receipt | None = None  # of the last reliable message
        connection.on("datachannel", self._on_announced)

    @property
    def is_open(self) -> bool:
        """Whether a channel is in use."""
        return self._in_use is not None

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether the phone has yet to acknowledge the last reliable message."""
        return self._last is not None and not self._last.is_acknowledged

    def open_own(self) -> None:
        """Open our own channel, once."""
        if self._own is None:
            self._own = self._connection.createDataChannel(INPUT_CHANNEL_LABEL, ordered=False, maxRetransmits=0)
            self._listen(self._own)

    def send(self, data: bytes, *, reliable: bool) -> Receipt | None:
        """Hand a message to the network on the channel in use; None if there is none, or BYTES_LIMIT wait on it."""
        channel = self._in_use
        if channel is None or channel.readyState != "open" or channel.bufferedAmount + len(data) > BYTES_LIMIT:
            return None
        receipt = Receipt(channel.transport)
        if reliable:
            channel.transport._data_channel_send(_Reliable(channel, receipt), data)  # type: ignore[arg-type]
            self._last = receipt
        else:
            channel.send(data)
        return receipt

    def send_filler(self, data: bytes) -> None:
        """Send a message on our own channel, for the sake of its acknowledgement alone; not if it has no room."""
        channel = self._own
        if channel is not None and channel.readyState == "open" and channel.bufferedAmount + len(data) <= BYTES_LIMIT:
            channel.send(data)

    def close(self) -> None:
        """Use no channel any more."""
        if self._own_timer is not None:
            self._own_timer.cancel()
        self._own = self._theirs = None
        self._choose()

    def _on_announced(self, channel: RTCDataChannel) -> None:
        if channel.label == INPUT_CHANNEL_LABEL:
            self._theirs = channel
            self._listen(channel)

    def _listen(self, channel: RTCDataChannel) -> None:
        channel.on("message", self._receive)
        channel.on("open", self._on_state)
        channel.on("close", self._choose)
        self._on_state()

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._on_message(message)

    def _on_state(self) -> None:
        if self._own_timer is None and self._own is not None and self._own.readyState == "open":
            self._own_timer = asyncio.get_running_loop().call_later(OWN_AFTER_S, self._use_own)
        self._choose()

    def _use_own(self) -> None:
        self._may_use_own = True
        self._choose()

    def _choose(self) -> None:
        in_use = None
        if self._theirs is not None and self._theirs.readyState == "open":
            in_use = self._theirs
        elif self._may_use_own and self._own is not None and self._own.readyState == "open":
            in_use = self._own
        if in_use is not self._in_use:
            self._in_use = in_use
            self._on_change()
