"""The kinds of file that a recording can have, by the suffix of its name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streamer.codec_table import CODECS
from streamer.errors import ConfigurationError

FRAGMENT_S: Final = 1.0  # the length of an MP4's fragment and of a Matroska cluster

# libavformat writes each packet as soon as it is complete, without waiting for one of the other stream.
_AT_ONCE: Final = {"flush_packets": "1", "max_interleave_delta": "1"}
_CLUSTERS: Final = {**_AT_ONCE, "cluster_time_limit": f"{1000 * FRAGMENT_S:.0f}"}


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file."""

    name: str
    codecs: frozenset[str]
    av_format: str = ""  # libavformat's name for it; empty if this package writes it itself
    av_options: dict[str, str] = field(default_factory=dict)
    is_live: bool = False  # whether it is read while it is written, so that nothing may wait
    longest_s: float | None = None  # then another file begins: its timestamps wrap


def _held_by(suffix: str) -> frozenset[str]:
    return frozenset(name for name, codec in CODECS.items() if suffix in codec.containers)


MP4: Final = Container("MP4", _held_by(".mp4"))
MATROSKA: Final = Container("Matroska", _held_by(".mkv"), "matroska", _CLUSTERS)
WEBM: Final = Container("WebM", _held_by(".webm"), "webm", _CLUSTERS)
MPEG_TS: Final = Container(
    "MPEG-TS",
    _held_by(".ts"),
    "mpegts",
    {**_AT_ONCE, "max_delay": "0", "pes_payload_size": "0"},
    is_live=True,
    longest_s=24 * 3600,  # its clock wraps after 2**33 / 90,000 s, 26.5 h
)

_BY_SUFFIX: Final = {".mp4": MP4, ".mkv": MATROSKA, ".webm": WEBM, ".ts": MPEG_TS}


def container_of(path: Path) -> Container:
    """Return the kind of file for a name. Raises ConfigurationError if its suffix is not known."""
    container = _BY_SUFFIX.get(path.suffix.lower())
    if container is None:
        known = _any_of(list(_BY_SUFFIX))
        raise ConfigurationError(f"expected a file name that ends in {known}, got {path.name or '.'!r}")
    return container


def refusal(container: Container, codec_name: str) -> str | None:
    """Return why a kind of file cannot hold a codec, and which can; None if it can."""
    if codec_name in container.codecs:
        return None
    able = [suffix for suffix, other in _BY_SUFFIX.items() if codec_name in other.codecs]
    remedy = f"record into {_any_of(able)}" if able else "none of those that are written here can"
    return f"{container.name} cannot hold {codec_name.upper()}: {remedy}"


def _any_of(suffixes: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))
