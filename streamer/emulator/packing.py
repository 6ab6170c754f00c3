"""Packetizes the emulator's frames and sets marker bits as `faults` say; by default as aiortc 1.16 does."""

from typing import Any, Final

from aiortc import RTCRtpSender
from aiortc.codecs.h264 import H264Encoder
from aiortc.rtp import RtpPacket

from streamer.emulator.faults import Faults
from streamer.library_hooks import shadow

_FU_A: Final = 28
_SLICES: Final = (1, 5)


def nal_units_of(annex_b: bytes) -> list[bytes]:
    """Return the NAL units of an access unit."""
    return list(H264Encoder._split_bitstream(annex_b))


class _Packetizer(H264Encoder):
    """aiortc's packetizer, changed as the faults say."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def pack(self, packet: Any) -> tuple[list[bytes], int]:
        """Return the payloads of an access unit, and its time."""
        payloads, timestamp = super().pack(packet)
        if self._faults.annexb_in_fua:
            payloads = self._packetize([b"\x00\x00\x00\x01".join(nal_units_of(bytes(packet)))])
        elif self._faults.marker_per_slice:
            nal_units = nal_units_of(bytes(packet))
            payloads = [payload for nal_unit in nal_units for payload in self._packetize([nal_unit])]
        return payloads, timestamp


def take_over(sender: RTCRtpSender, faults: Faults) -> None:
    """Make a sender packetize H.264 frames, and set their marker bits, as the faults say."""
    vars(sender)["_RTCRtpSender__encoder"] = _Packetizer(faults)
    transport: Any = sender.transport
    send_rtp = transport._send_rtp

    async def send_marked(data: bytes) -> None:
        if int.from_bytes(data[8:12]) == sender._ssrc:
            if faults.marker_per_slice and _ends_slice(RtpPacket.parse(data).payload):
                data = data[:1] + bytes((data[1] | 0x80,)) + data[2:]
            elif faults.no_markers:
                data = data[:1] + bytes((data[1] & 0x7F,)) + data[2:]
        await send_rtp(data)

    shadow(transport, "_send_rtp", send_marked)


def _ends_slice(payload: bytes) -> bool:
    nal_type = payload[0] & 0x1F
    if nal_type == _FU_A:
        return payload[1] & 0x1F in _SLICES and payload[1] & 0x40 != 0
    return nal_type in _SLICES
