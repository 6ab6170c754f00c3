"""What a command's exit code means."""

from typing import Final

from streamer import errors

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
EPILOG: Final = (
    "Exit codes: 0 done; 1 another error; 2 wrong arguments or settings; 3 the cloud API failed or refused; "
    "4 signaling failed; 5 the WebRTC connection failed or was lost; 6 a file could not be written, or no frame came; "
    f"{INTERRUPTED} interrupted at once, by Ctrl-C, SIGTERM or SIGHUP."
)
