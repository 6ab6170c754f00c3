"""What a command's exit code means."""

from typing import Final

from streamer import errors

DIFFERS: Final = 7
INTERRUPTED: Final = 130
EXIT_CODES: Final = (
    (errors.ConfigurationError, 2),
    (errors.CloudError, 3),
    (errors.SignalingError, 4),
    (errors.ConnectionFailedError, 5),
    (errors.ConnectionLostError, 5),
    (errors.RecordingError, 6),
    (errors.StreamerError, 1),
)
MEANINGS: Final = {
    0: "Done.",
    1: "Another error.",
    2: "An argument or a setting is wrong.",
    3: "The cloud API failed or refused.",
    4: "Signaling failed.",
    5: "The WebRTC connection failed or was lost.",
    6: "A file could not be written, or no frame came.",
    DIFFERS: "`timeline compare` found a step that differs.",
    INTERRUPTED: "Interrupted at once, by Ctrl-C, SIGTERM or SIGHUP.",
}
