"""Access units as the decoder takes them: a stream of twelve frames, and streams of every codec."""

from collections.abc import Iterable

from streamer.media.access_unit import AccessUnit
from streamer.tracks import Codec
from tests.support.senders import access_unit, encoded

STREAM = encoded(12, keyframe_every=6)


def units(stream: Iterable[bytes] = STREAM, *, start: int = 0) -> list[AccessUnit]:
    return [access_unit(data, 3000 * number) for number, data in enumerate(stream, start=start)]


def coded_units(codec: str, stream: Iterable[bytes], *, keyframe_every: int = 6) -> list[AccessUnit]:
    as_codec = Codec(name=codec, clock_rate=90_000)
    return [
        access_unit(data, 3000 * number, codec=as_codec, keyframe=number % keyframe_every == 0)
        for number, data in enumerate(stream)
    ]
