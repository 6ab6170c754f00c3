"""A screen that answers: a launcher and its apps, as a machine that is told what happens and when, and drawn on demand.

Nothing here has a clock, a thread or a socket. The same events at the same times give the same frames.
"""

from streamer.emulator.apps.desktop import REACTIONS_MS, Desktop

__all__ = ["REACTIONS_MS", "Desktop"]
