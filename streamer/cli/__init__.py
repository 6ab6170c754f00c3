"""The command line: `streamer record | frames | screenshot | clip | audio | info | phone | demo`,
`streamer list | apps | shell | set-video`, `streamer mcp`, `streamer timeline`, and `streamer view`.
"""

from streamer.cli.exit_codes import EXIT_CODES
from streamer.cli.viewer_commands import app

__all__ = ["EXIT_CODES", "app"]
