"""The limits in the tables of docs/architecture.md, against the constants that set them."""

import re
from pathlib import Path
from typing import Final

import pytest

from streamer import resolver, untrusted_text, watcher
from streamer.agent import arguments, files
from streamer.cloud import call_rate, calls, credentials, encoding, http
from streamer.cloud import phone as cloud_phone
from streamer.emulator import api, device, input_frames, json_text, management, peer, phone, provisioning
from streamer.emulator import client as phone_client
from streamer.emulator import media as phone_media
from streamer.emulator import socketio as phone_socketio
from streamer.emulator.apps import desktop, signin, touches
from streamer.media import frame_decoder, history, libav
from streamer.media.codecs import depacketizer, nal
from streamer.media.playback import array_pool, audio, deferral, video_decoder, video_frames
from streamer.media.recording import mp4, segment_writer, transcode
from streamer.media.recording import recording as recordings
from streamer.media.rtp import jitter_buffer, source
from streamer.rtc import datagrams, ice, refusals, sdp
from streamer.rtc._aiortc import hardening, srtp
from streamer.signaling import client, conversation, socketio
from streamer.testing import footage, witness
from streamer.timeline import journal
from streamer.watch import response, still

TEXT: Final = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
KIB: Final = 1024
MIB: Final = 1024 * 1024

# How a row of a table begins, and the numbers that its second column has to hold.
ROWS: Final = [
    ("signaling events waiting for the connection", conversation.EVENTS_LIMIT),
    ("candidates before the offer", ice.CANDIDATES_LIMIT),
    ("a gap |", source.VIDEO_HOLD_NS // 1_000_000, source.AUDIO_HOLD_NS // 1_000_000),
    ("jitter buffer", jitter_buffer.CAPACITY, jitter_buffer.MAX_BYTES // MIB),
    ("one access unit", depacketizer.MAX_UNIT_BYTES // MIB, depacketizer.PAYLOAD_COST, depacketizer.MAX_NAL_UNITS),
    ("parameter sets kept", nal.MAX_PARAMETER_SETS, nal.MAX_PARAMETER_SET_BYTES // KIB),
    ("the last keyframe", history.GROUP_LIMIT, history.UNITS_LIMIT, history.BYTES_LIMIT // MIB, history.AUDIO_LIMIT),
    ("the last keyframe", history.AUDIO_BYTES_LIMIT // MIB),
    ("units held for consumers", deferral.UNITS_LIMIT, deferral.BYTES_LIMIT // MIB),
    ("decoder's inbox", video_decoder.INBOX_LIMIT),
    ("units whose frames the decoder holds back", frame_decoder.WAITING_LIMIT),
    ("waits for the screen", watcher.WATCHES_LIMIT),
    ("what moved lately", still.MOVING_LIMIT),
    ("frames that changed after an action", response.CHANGES_LIMIT),
    ("a consumer, `every`", video_frames.EVERY_LIMIT),
    ("memory of arrays that died", array_pool.FREE_LIMIT // MIB, array_pool.SIZES_LIMIT),
    ("the audio decoder's inbox", audio.INBOX_LIMIT),
    ("a recording's inbox", recordings.INBOX_LIMIT, recordings.INBOX_BYTES // MIB),
    ("frames behind which encoding is", transcode.BEHIND_NS // 1_000_000_000),
    ("what the pytest plugin keeps", footage.UNITS_LIMIT, footage.BYTES_LIMIT // MIB),
    ("records of a test's timeline", witness.RECORDS_LIMIT),
    ("places of one finger's path", journal.POINTS_LIMIT),
    ("an MP4's index", mp4.INDEX_LIMIT // 1_000_000),
    ("a recording's finished files", segment_writer.SEGMENTS_LIMIT),
    ("SSRCs whose packets SRTP refuses", refusals.SOURCES_LIMIT),
    ("clips for an agent", arguments.CLIP_LIMIT_S, files.RECORD_LIMIT_S),
    ("host names that are being resolved", resolver.THREADS_LIMIT, resolver.ADDRESSES_LIMIT),
    ("token files", credentials.THREADS_LIMIT),
    ("packets that the emulator has", phone_media.TRACK_LIMIT),
    ("device tokens, input frames, calls", phone.TOKENS_LIMIT, phone.INPUTS_LIMIT, provisioning.CALLS_LIMIT),
    ("device tokens, input frames, calls", management.CALLS_LIMIT, management.TASKS_LIMIT, device.COMMANDS_LIMIT),
    ("apps and settings of the emulator", device.PACKAGES_LIMIT, device.SETTINGS_LIMIT),
    ("touches, keys and other events", phone_media.EVENTS_LIMIT),
    ("apps of the emulator that run", desktop.RUNNING_LIMIT, touches.POINTS_LIMIT, signin.TEXT_LIMIT),
    ("the body of an HTTP reply", http.BODY_LIMIT // MIB),
    ("the whole of an HTTP reply", calls.COMMAND_TIMEOUT_S),
    ("a list of apps or instances", cloud_phone.LIST_LIMIT),
    ("times of commands", call_rate.CALLS_PER_MINUTE),
    ("compressions of an HTTP reply", encoding.ENCODINGS_LIMIT, encoding.MEMBERS_LIMIT),
    ("a WebSocket message", conversation.MESSAGE_LIMIT // MIB, client.PIECES_LIMIT),
    ("WebSocket frames of any kind", client.FRAMES_PER_S, client.BYTES_PER_S // MIB),
    ("lists and objects in one signaling message", untrusted_text.CONTAINERS_LIMIT, socketio.MAX_DEPTH),
    ("an offer |", conversation.SDP_LIMIT // KIB),
    ("media sections of an offer", sdp.SECTIONS_LIMIT),
    ("lines of an offer", sdp.LINES_LIMIT),
    ("a candidate |", conversation.CANDIDATE_LIMIT // KIB),
    ("different candidates of the phone", ice.CANDIDATES_LIMIT),
    ("peer-reflexive candidates", hardening.REMOTE_CANDIDATES_LIMIT),
    ("SSRCs of a connection", srtp.SOURCES_LIMIT),
    ("pairs of candidates", hardening.CHECK_LIST_LIMIT),
    (
        "datagrams and DTLS records",
        hardening.DATAGRAMS_LIMIT,
        hardening.DATAGRAM_BYTES_LIMIT // KIB,
        datagrams.RECORD_LIMIT,
    ),
    ("data channels; their streams", hardening.DATA_CHANNELS_LIMIT, hardening.DATA_STREAMS_LIMIT),
    ("messages of data channels", hardening.DATA_BYTES_LIMIT // KIB, hardening.DATA_PIECES_LIMIT),
    ("ICE servers", ice.SERVERS_LIMIT),
    ("a frame |", int(libav.PIXELS_LIMIT**0.5)),
    ("clients of the emulator", phone.CLIENTS_LIMIT),
    ("lists and objects in one JSON text for the emulator", json_text.CONTAINERS_LIMIT),
    ("a client of the emulator that is not authorized", phone_client.UNAUTHORIZED_S),
    ("a client that does not take", phone_socketio.SEND_S, api.REPLY_S),
    ("HTTP connections to the emulator", api.CONNECTIONS_LIMIT, api.REQUEST_S, api.BODY_LIMIT // KIB),
    ("an answer, the candidates", peer.ANSWER_LIMIT // KIB, peer.CANDIDATES_LIMIT, input_frames.MESSAGE_LIMIT // KIB),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip(" |"))
def test_a_row_has_the_limits_that_are_in_force(row: tuple[str, *tuple[float, ...]]) -> None:
    begin, *values = row
    (found,) = re.findall(rf"^\| {re.escape(begin)}[^\n]*", TEXT, re.MULTILINE)
    told = {float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", found.split("|")[2])}
    assert set(values) <= told


def test_a_message_of_an_agents_client_has_the_limit_that_is_in_force() -> None:
    from streamer.agent import serving  # noqa: PLC0415 - it imports the SDK, which takes long

    test_a_row_has_the_limits_that_are_in_force(("a message of an agent's client", serving.MESSAGE_LIMIT // MIB))
