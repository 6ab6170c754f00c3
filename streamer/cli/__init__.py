"""The command line: `streamer record | frames | screenshot | clip | audio | info | phone | demo`, and
`streamer list | apps | shell | set-video`.
"""

from streamer.cli.cloud_commands import app
from streamer.cli.exit_codes import EXIT_CODES

__all__ = ["EXIT_CODES", "app"]
