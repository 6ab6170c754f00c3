"""The command line: `streamer record | frames | screenshot | clip | audio | info | phone | demo`."""

from streamer.cli.codes import EXIT_CODES
from streamer.cli.commands import app

__all__ = ["EXIT_CODES", "app"]
