"""H.264 and Opus, as a phone's screen encoder makes them."""

import fractions
from dataclasses import dataclass
from typing import Any, Final, Literal

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

VIDEO_CLOCK_HZ: Final = 90_000
AUDIO_CLOCK_HZ: Final = 48_000
AUDIO_FRAME_SAMPLES: Final = AUDIO_CLOCK_HZ // 50  # 20 ms
_KEYFRAME_INTERVAL_S: Final = 10
_BITS_PER_PIXEL: Final = 0.1  # 2.8 Mbit/s at 720x1280 and 30 pictures a second
_BT601: Final = 6  # what `screen` draws in; the number is that of H.264 annex E


@dataclass(frozen=True, slots=True)
class EncodedUnit:
    """An H.264 access unit (Annex B) or an Opus packet; `pts` is in ticks of its kind's clock."""

    kind: Literal["video", "audio"]
    data: bytes
    pts: int
    is_keyframe: bool

    def to_packet(self) -> av.Packet:
        """Return it in the form that aiortc packetises."""
        packet = av.Packet(self.data)
        packet.pts = packet.dts = self.pts
        packet.time_base = fractions.Fraction(1, VIDEO_CLOCK_HZ if self.kind == "video" else AUDIO_CLOCK_HZ)
        return packet


class VideoEncoder:
    """libx264 for a live screen: constrained baseline, no B-frames, no look-ahead, SPS and PPS with every keyframe.

    A keyframe comes first, on request, when the size or the rate changes, and after at most ten seconds. The rate is
    constant quality under a cap, `bitrate_bps`; without one the cap follows the size and the rate.
    """

    def __init__(self, bitrate_bps: int | None = None) -> None:
        self._bitrate_bps = bitrate_bps
        self._codec: Any = None
        self._shape: tuple[int, int, int] | None = None

    def encode(self, picture: npt.NDArray[np.uint8], *, fps: int, pts: int, wants_keyframe: bool) -> EncodedUnit:
        """Encode `picture`, yuv420p as `(height * 3 // 2, width)` uint8, taken at `pts` in ticks of 90 kHz."""
        shape = (picture.shape[1], picture.shape[0] * 2 // 3, fps)
        if shape != self._shape:
            self._shape, self._codec = shape, self._open(*shape)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = pts, fractions.Fraction(1, VIDEO_CLOCK_HZ)
        if wants_keyframe:
            frame.pict_type = PictureType.I
        packets = self._codec.encode(frame)
        return EncodedUnit("video", b"".join(map(bytes, packets)), pts, any(packet.is_keyframe for packet in packets))

    def _open(self, width: int, height: int, fps: int) -> Any:
        cap = self._bitrate_bps or round(width * height * fps * _BITS_PER_PIXEL)
        codec: Any = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.framerate = fractions.Fraction(fps, 1)
        codec.time_base = fractions.Fraction(1, VIDEO_CLOCK_HZ)
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT601
        codec.gop_size = fps * _KEYFRAME_INTERVAL_S
        codec.max_b_frames = 0
        codec.thread_count = 1
        codec.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "sc_threshold": "0",  # a scene that changes is no reason for a keyframe
            "crf": "22",
            "maxrate": str(cap),
            "bufsize": str(cap // 2),
        }
        return codec


class AudioEncoder:
    """libopus, 48 kHz stereo, 20 ms a packet."""

    def __init__(self) -> None:
        codec: Any = av.CodecContext.create("libopus", "w")
        codec.sample_rate, codec.format, codec.layout = AUDIO_CLOCK_HZ, "s16", "stereo"
        codec.time_base = fractions.Fraction(1, AUDIO_CLOCK_HZ)
        codec.bit_rate = 64_000
        self._codec = codec

    def encode(self, samples: npt.NDArray[np.int16], *, pts: int) -> EncodedUnit:
        """Encode `(960, 2)` int16 samples, the first of them at `pts` in ticks of 48 kHz."""
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = AUDIO_CLOCK_HZ, pts
        frame.time_base = fractions.Fraction(1, AUDIO_CLOCK_HZ)
        return EncodedUnit("audio", b"".join(map(bytes, self._codec.encode(frame))), pts, is_keyframe=True)


def make_melody() -> npt.NDArray[np.int16]:
    """Return a soft tune to be played in a loop, `(samples, 2)` int16 at 48 kHz: a whole number of 20 ms packets."""
    notes_hz = (261.63, 329.63, 392.00, 493.88, 440.00, 392.00, 329.63, 293.66)
    seconds = np.arange(AUDIO_CLOCK_HZ // 2) / AUDIO_CLOCK_HZ  # a note lasts half a second
    envelope = np.minimum(seconds / 0.02, 1.0) * np.exp(-4.0 * seconds) * np.minimum((0.5 - seconds) / 0.02, 1.0)
    voices = [envelope * (np.sin(2 * np.pi * hz * seconds) + 0.4 * np.sin(np.pi * hz * seconds)) for hz in notes_hz]
    tune = np.concatenate(voices)
    right = np.roll(tune, AUDIO_CLOCK_HZ // 4) * 0.5 + tune * 0.5  # a faint echo, so that the sides differ
    return (np.stack([tune, right], axis=1) * 6000).astype(np.int16)
