"""Puts the RTP packets of one SSRC in order.

1. The next packet in order leaves at once. While nothing is missing, the buffer is empty and costs nothing.
2. A gap holds back the packets after it for at most `hold_ns`: a retransmission may fill it.
3. Then the buffer gives up the missing packets, and the caller sees a jump of `index`. The caller may give them up
   earlier, to release the packets behind them.

The work per packet does not depend on how many are held. The buffer holds at most `capacity` packets and `max_bytes` of
payload. It gives up the oldest gaps to make room.

A packet `capacity` away from the others, ahead or behind, is late, or the sender has restarted. Two consecutive packets
with none of the old sequence between them prove a restart (the rule of RFC 3550 appendix A.1). The held packets then
leave, and the buffer goes on from the first of the two. Any other packet from far away is late. A retransmission proves
nothing: it repeats an old packet.

Left out: playout delay. A screen shows its frame at once; a consumer that wants even spacing has the RTP timestamps.
"""

from typing import Final

from streamer.bounded import Budget
from streamer.media.rtp.packet import RtpPacket
from streamer.media.wraparound import extend

CAPACITY: Final = 2048  # a keyframe of 500 kB is 430 packets; four of them
MAX_BYTES: Final = 16 * 1024 * 1024  # `CAPACITY` packets of the usual size are a sixth of it; datagrams may be 64 kB


class Missing:
    """A missing packet: when its absence was noticed, and the state of its requests."""

    __slots__ = ("next_request_ns", "noticed_ns", "requested_ns", "requests")

    def __init__(self, noticed_ns: int) -> None:
        self.noticed_ns = noticed_ns
        self.requests = 0
        self.requested_ns = 0  # when it was last requested
        self.next_request_ns = 0  # when to request it again


class JitterBuffer:
    """Orders the packets of one SSRC: `insert` each packet, and `give_up` when `deadline_ns` has passed."""

    def __init__(self, *, hold_ns: int, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES) -> None:
        self.hold_ns = hold_ns
        self.missing: dict[int, Missing] = {}  # by index, in order of index
        self.lost = 0  # how many packets were given up
        self._capacity = capacity
        self._held: dict[int, RtpPacket] = {}
        self._budget = Budget(max_items=capacity, max_bytes=max_bytes)  # of the held packets
        self._next = -1  # the index that leaves next; -1 before the first packet
        self._end = -1  # one more than the highest index seen
        self._stray: RtpPacket | None = None  # the last packet from far away, if it may be the first of a restart
        self._stray_end = -1  # the value of `_end` when it came

    @property
    def deadline_ns(self) -> int | None:
        """When to give up the oldest gap; None while nothing is missing."""
        for oldest in self.missing.values():
            return oldest.noticed_ns + self.hold_ns
        return None

    def passes(self, packet: RtpPacket) -> bool:
        """Whether the packet is the next in order and nothing is missing. Then it needs no `insert`."""
        expected = self._next
        if packet.sequence_number != expected & 0xFFFF or self._end != expected or expected < 0:
            return False
        packet.index = expected
        self._next = self._end = expected + 1
        return True

    def advance(self, count: int) -> None:
        """Count `count` packets that were the next in order while nothing was missing."""
        self._next = self._end = self._next + count

    def following(self, count: int) -> list[int]:
        """Return the sequence numbers that follow the highest one seen; none before the first packet."""
        return [] if self._end < 0 else [(self._end + step) & 0xFFFF for step in range(count)]

    def insert(self, packet: RtpPacket, now_ns: int, *, is_retransmission: bool = False) -> list[RtpPacket]:
        """Take a packet; return the packets that leave now, in order, each with its `index` set."""
        if self._next < 0:
            # Far enough from zero: packets that the first one overtook get a positive index, too.
            self._next = self._end = packet.sequence_number + 0x10000
        if self.passes(packet):
            return [packet]
        index = packet.index = extend(self._end, packet.sequence_number, 16)
        if not -self._capacity <= index - self._end < self._capacity:
            return self._take_stray(packet, is_retransmission=is_retransmission)
        if index < self._next or index in self._held:
            return []
        released: list[RtpPacket] = []
        size = len(packet.payload)
        while self._next < index and self.missing and not self._fits(index, size):
            released += self._give_up(next(iter(self.missing)))
        if index >= self._end:
            for absent in range(self._end, index):
                self.missing[absent] = Missing(now_ns)
            self._end = index + 1
        else:
            self.missing.pop(index, None)
        self._held[index] = packet
        self._budget.add(size)
        return released + self._leave()

    def give_up(self, now_ns: int) -> list[RtpPacket]:
        """Give up the gaps whose time is over; return the packets that leave now."""
        released: list[RtpPacket] = []
        while self.missing:
            index, oldest = next(iter(self.missing.items()))
            if now_ns < oldest.noticed_ns + self.hold_ns:
                break
            released += self._give_up(index)
        return released

    def give_up_before(self, end: int) -> list[RtpPacket]:
        """Give up the gaps before an index; return the packets that leave now."""
        released: list[RtpPacket] = []
        for index in [index for index in self.missing if index < end]:
            released += self._give_up(index)
        return released

    def held_frame(self, packet: RtpPacket) -> list[RtpPacket]:
        """Return the held packets of this packet's frame, in order; none if the end of the frame is missing.

        Its beginning may be missing.
        """
        frame: list[RtpPacket] = []
        position = packet.index
        while not (frame and frame[-1].marker):
            following = self._held.get(position)
            if following is None or following.rtp_time != packet.rtp_time:
                return []
            frame.append(following)
            position += 1
        position = packet.index - 1
        frame.reverse()
        while (preceding := self._held.get(position)) is not None and preceding.rtp_time == packet.rtp_time:
            frame.append(preceding)
            position -= 1
        frame.reverse()
        return frame

    def _give_up(self, index: int) -> list[RtpPacket]:
        del self.missing[index]
        self.lost += 1
        self._next = index + 1
        return self._leave()

    def _leave(self) -> list[RtpPacket]:
        released = []
        while (packet := self._held.pop(self._next, None)) is not None:
            self._budget.remove(len(packet.payload))
            released.append(packet)
            self._next += 1
        return released

    def _fits(self, index: int, size: int) -> bool:
        return index - self._next < self._capacity and self._budget.fits(size)

    def _take_stray(self, packet: RtpPacket, *, is_retransmission: bool) -> list[RtpPacket]:
        """Take a packet from far away: it is late, or one of the two that prove a restart."""
        if is_retransmission:
            return []
        first, self._stray = self._stray, packet
        is_second = first is not None and packet.sequence_number == first.sequence_number + 1 & 0xFFFF
        if first is None or not is_second or self._stray_end != self._end:
            self._stray_end = self._end
            return []
        self._stray = None
        released = self.give_up_before(self._end)
        first.index = extend(self._end + 0x8000, first.sequence_number, 16)  # ahead, so that indices rise
        packet.index = first.index + 1
        self._next = self._end = packet.index + 1
        return [*released, first, packet]
