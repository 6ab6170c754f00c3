"""The table of codecs: what it names is there, and who lists codecs lists those."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import av
import pytest

from streamer.cli import commands
from streamer.codec_table import AUDIO_CODECS, CODECS, ENCODERS, VIDEO_CODECS
from streamer.media.recording.containers import container_of

TEXT = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_libavcodec_and_libavformat_have_what_the_table_names() -> None:
    for codec in CODECS.values():
        assert av.Codec(codec.decoder, "r").type == codec.kind
        assert codec.encoder is None or av.Codec(codec.encoder.name, "w").type == codec.kind
        assert codec.kind == "audio" or av.ContainerFormat(codec.demuxer, "r").is_input


def test_h264_and_opus_are_preferred() -> None:
    assert (VIDEO_CODECS[0], AUDIO_CODECS[0]) == ("h264", "opus")


def test_the_command_line_offers_what_can_be_encoded() -> None:
    (choices,) = [hint for hint in get_args(get_type_hints(commands.record)["codec"]) if hint is not type(None)]
    assert get_args(choices) == tuple(ENCODERS)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts"])
def test_every_kind_of_file_can_hold_video_and_audio(suffix: str) -> None:
    held = container_of(Path(f"a{suffix}")).codecs
    assert held & {*VIDEO_CODECS}
    assert held & {*AUDIO_CODECS}


def test_the_architecture_page_has_each_decoder_and_encoder_of_video() -> None:
    rows = {row.split("|")[1].split("(")[0].strip(): row for row in TEXT.splitlines() if row.startswith("| ")}
    for name in VIDEO_CODECS:
        row = next(row for title, row in rows.items() if title.lower().replace(".", "") == name)
        assert row.rstrip(" |").endswith(f"`{CODECS[name].decoder}`")
    for name, encoder in ENCODERS.items():
        assert re.search(rf"{encoder.name}\b.*\bCRF {encoder.crf} \|", rows[f"`{name}`"])
