"""`Viewer`: what a program holds of a running viewer. `streamer.viewer` serves it."""

from abc import ABC, abstractmethod


class Viewer(ABC):
    """A phone in the browser, or several. `Session.view` makes it, and it is there until its block is left.

    Pages share the session with what else the program does: a recording, a test. A slow page misses frames and slows
    nothing down.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """The address that opens it. Its end, behind `#`, is the token: who has the address can use the viewer.

        With the host `0.0.0.0` it is the one for this machine. Others use this machine's address in its place.
        """

    @property
    @abstractmethod
    def port(self) -> int:
        """The port it listens on."""

    @property
    @abstractmethod
    def pages(self) -> int:
        """How many pages are open."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until a page was open and all are closed: somebody can look and touch before the program goes on.

        A page that is reloaded is not closed.

        Raises:
            StreamerError: What ended the last session before that.
        """

    @abstractmethod
    async def wait_ended(self) -> None:
        """Wait until the last of the sessions has ended.

        Raises:
            StreamerError: What ended it.
        """
