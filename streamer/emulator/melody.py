"""What the emulator sounds like: pieces that come again and again, and that libopus encodes once for a process."""

import fractions
import functools
import threading
from typing import Any, Final

import av
import numpy as np

AUDIO_CLOCK: Final = fractions.Fraction(1, 48_000)
AUDIO_SAMPLES: Final = 960  # 20 ms
FLASH_S: Final = 0.1  # of every second, with `flash_and_beep`


class Melody:
    """The packets of a piece of a whole number of them: interleaved stereo, 16 bits."""

    def __init__(self, samples: Any) -> None:
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, av.AudioCodecContext)  # noqa: S101 - what "libopus" is
        encoder.sample_rate, encoder.layout, encoder.format = 48_000, av.AudioLayout("stereo"), av.AudioFormat("s16")
        encoder.bit_rate = 64_000
        self._encoder: Any = encoder
        self._samples = samples.reshape(-1, 1, 2 * AUDIO_SAMPLES)
        self._encoded: list[tuple[bytes, int]] = []  # with the time by which the encoder is late, which is negative
        self._lock = threading.Lock()

    def packet(self, number: int) -> "av.Packet[Any]":
        """Return the packet of this number, counted from when the phone was switched on."""
        with self._lock:
            while len(self._encoded) <= number % len(self._samples):
                self._encode(len(self._encoded))
            data, late = self._encoded[number % len(self._samples)]
        packet = av.Packet(data)
        packet.pts, packet.time_base = number * AUDIO_SAMPLES + late, AUDIO_CLOCK
        packet.duration, packet.is_keyframe = AUDIO_SAMPLES, True
        return packet

    def _encode(self, number: int) -> None:
        frame = av.AudioFrame.from_ndarray(self._samples[number], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * AUDIO_SAMPLES, AUDIO_CLOCK
        (packet,) = self._encoder.encode(frame)
        self._encoded.append((bytes(packet), packet.pts - frame.pts))


@functools.lru_cache(maxsize=8)
def shared_melody(*, beeps: bool, volume: int) -> Melody:
    """Return what all phones of this process play at a volume, in percent."""
    return Melody(((_beep() if beeps else _tune()) * (volume / 100)).astype(np.int16))


def _tune() -> Any:
    """Return a soft tune of eight notes, half a second each."""
    length = 24_000
    seconds = np.arange(length) / 48_000
    fade = np.minimum(1, np.minimum(seconds, seconds[::-1]) * 40) * np.exp(-3 * seconds)
    notes = [np.sin(2 * np.pi * hertz * seconds) * fade for hertz in (262, 330, 392, 523, 392, 330, 294, 247)]
    left = np.concatenate(notes)
    right = np.roll(left, 480)
    return np.stack([left, right], axis=1) * 6000


def _beep() -> Any:
    """Return a second of audio that begins with a beep of 1 kHz, as long as a flash."""
    audio = np.zeros((48_000, 2))
    samples = int(FLASH_S * 48_000)
    audio[:samples] = (12_000 * np.sin(2 * np.pi * 1000 * np.arange(samples) / 48_000))[:, None]
    return audio
