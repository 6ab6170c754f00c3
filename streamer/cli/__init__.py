"""The command line: `streamer record | frames | screenshot | clip | audio | info | phone | demo`."""

from streamer.cli.commands import app
from streamer.cli.exit_codes import EXIT_CODES

__all__ = ["EXIT_CODES", "app"]
