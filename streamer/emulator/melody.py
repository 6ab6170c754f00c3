"""What the emulator sounds like: pieces that come again and again. libopus encodes them once for a process."""

import fractions
import functools
from typing import Any, Final

import av
import numpy as np

AUDIO_CLOCK: Final = fractions.Fraction(1, 48_000)
AUDIO_SAMPLES: Final = 960  # 20 ms
FLASH_S: Final = 0.1  # of every second, with `flash_and_beep`
_PART: Final = 25  # packets that are encoded at once: a note; it takes some milliseconds
_NOTES: Final = (262, 330, 392, 523, 440, 349, 294, 247)  # Hz; no two are the same, and so no two packets


class Melody:
    """The packets of a piece: interleaved stereo, 16 bits, a whole number of notes."""

    def __init__(self, samples: Any) -> None:
        self._samples = samples.reshape(-1, 1, 2 * AUDIO_SAMPLES)
        self._encoded: dict[int, list[tuple[bytes, int]]] = {}  # by note; each with how late it is, which is negative

    def packet(self, number: int) -> "av.Packet[Any]":
        """Return the packet of this number, counted from when the phone was switched on."""
        part, place = divmod(number % len(self._samples), _PART)
        if part not in self._encoded:
            self._encoded[part] = self._encode(part * _PART)
        data, late = self._encoded[part][place]
        packet = av.Packet(data)
        packet.pts, packet.time_base = number * AUDIO_SAMPLES + late, AUDIO_CLOCK
        packet.duration, packet.is_keyframe = AUDIO_SAMPLES, True
        return packet

    def _encode(self, first: int) -> list[tuple[bytes, int]]:
        """Encode a note, after a packet of the one before it, without which it would begin with a click."""
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, av.AudioCodecContext)  # noqa: S101 - what "libopus" is
        encoder.sample_rate, encoder.layout, encoder.format = 48_000, av.AudioLayout("stereo"), av.AudioFormat("s16")
        encoder.bit_rate = 64_000
        encoded = []
        for number in range(first - 1, first + _PART):
            samples = self._samples[number % len(self._samples)]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, number * AUDIO_SAMPLES, AUDIO_CLOCK
            (packet,) = encoder.encode(frame)
            encoded.append((bytes(packet), (packet.pts or 0) - frame.pts))
        return encoded[1:]


@functools.lru_cache(maxsize=8)
def shared_melody(*, beeps: bool, volume: int) -> Melody:
    """Return what all phones of this process play at a volume, in percent."""
    return Melody(((_beep() if beeps else _tune()) * (volume / 100)).astype(np.int16))


def _tune() -> Any:
    """Return a soft tune of eight notes, half a second each."""
    length = 24_000
    seconds = np.arange(length) / 48_000
    fade = np.minimum(1, np.minimum(seconds, seconds[::-1]) * 40) * np.exp(-3 * seconds)
    left = np.concatenate([np.sin(2 * np.pi * hertz * seconds) * fade for hertz in _NOTES])
    right = np.roll(left, 480)
    return np.stack([left, right], axis=1) * 6000


def _beep() -> Any:
    """Return a second of audio that begins with a beep of 1 kHz, as long as a flash."""
    audio = np.zeros((48_000, 2))
    samples = int(FLASH_S * 48_000)
    audio[:samples] = (12_000 * np.sin(2 * np.pi * 1000 * np.arange(samples) / 48_000))[:, None]
    return audio
