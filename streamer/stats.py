"""The snapshot of a session's counters, rates and times that users get."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of a session, in the order of a frame's way: received, requested, decoded.

    Counts and totals are since the session began, retransmissions included; rates and means are over the last second.
    What was dropped is in seven counters, one for each reason: `frames_lost`, `frames_malformed`,
    `frames_awaiting_keyframe`, `decode_errors`, `frames_too_large`, `frames_corrupt` and `decoder_overflows`;
    `frames_skipped` were decoded, and nobody would have seen `frames_not_decoded`.
    """

    state: str  # "connecting", "streaming", "interrupted" or "closed"
    duration_s: float  # since the first packet
    interruptions: int  # how often the stream was interrupted, for any reason, until it was resumed
    interrupted_s: float  # how long the interruptions lasted in total
    interruption_reasons: tuple[str, ...]  # the reasons of the last 100 of them, the newest last

    packets_received: int  # RTP packets, retransmissions included
    packets_lost: int  # given up, because neither they nor a retransmission came in time
    retransmitted_packets_received: int  # packets that a retransmission replaced
    packets_malformed: int  # packets that could not be parsed
    packets_unknown: int  # packets of payload types that were not negotiated
    packets_refused: int  # not counted as received: they fail authentication, and may be a stranger's
    packets_duplicated: int  # not counted as received: they came before, or later than SRTP can tell
    bytes_received: int  # RTP headers included
    bitrate_bps: float  # of video and audio, without headers
    jitter_s: float  # of video (RFC 3550 section 6.4.1)
    round_trip_time_s: float | None  # smoothed; None until it is measured, some 5 s after the start

    nack_count: int  # requests for retransmission (RTCP NACK) sent
    retransmission_requests: int  # sequence numbers in them
    pli_count: int  # requests for a keyframe (RTCP PLI) sent
    fir_count: int  # requests for a keyframe (RTCP FIR) sent

    frames_received: int  # complete access units of video that can be decoded
    frames_lost: int  # incomplete; a frame without any packet is not known
    frames_malformed: int  # access units that could not be parsed
    frames_awaiting_keyframe: int  # complete, but they refer to a lost frame
    frames_per_second: float  # received, over the last second
    freeze_count: int  # intervals without a new frame while packets were missing (see FreezeMeter)
    total_freezes_duration_s: float  # the sum of these intervals
    audio_packets_received: int  # RTP packets of audio

    audio_packets_decoded: int  # nothing is decoded while nobody listens
    audio_errors: int  # packets that the decoder refused
    audio_overflows: int  # packets dropped because the decoder fell behind
    concealed_audio_s: float  # audio that conceals packets that were lost, refused or dropped

    frames_decoded: int  # nothing is decoded while nobody iterates
    frames_not_decoded: int  # frames that nobody would have seen: newer ones came before anybody wanted one
    decode_errors: int  # frames that the decoder refused
    frames_too_large: int  # frames of more than 4096 x 4096 pixels, which are not decoded
    frames_corrupt: int  # dropped frames, because the decoder made up parts of them
    decoder_overflows: int  # frames dropped because the decoder fell behind
    frames_skipped: int  # decoded frames that a consumer did not get: a newer one came first
    total_decode_time_s: float  # time spent decoding, in total
    mean_decode_s: float | None  # decoding time of a frame; this and the next two are None while none is decoded
    mean_delay_s: float | None  # from a frame's last packet until it is decoded
    mean_latency_s: float | None  # from its capture until it is decoded: right if the phone's clock agrees with ours
    frame_width: int | None  # of the last decoded frame
    frame_height: int | None  # of the last decoded frame
