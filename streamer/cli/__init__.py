"""The command line: `streamer record | frames | screenshot | clip | audio | info | phone | demo`, and
`streamer list | apps | shell | set-video`, and `streamer mcp`.
"""

from streamer.cli.agent_commands import app
from streamer.cli.exit_codes import EXIT_CODES

__all__ = ["EXIT_CODES", "app"]
