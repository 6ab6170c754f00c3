"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import streamer
from streamer.sync.face import Face


class Viewer(Face[streamer.Viewer]):
    """A phone in the browser, or several. `Session.view` makes it, and it is there until its block is left.

    Pages share the session with what else the program does: a recording, a test. A slow page misses frames and slows
    nothing down.
    """

    @property
    def url(self) -> str:
        """The address that opens it. Its end, behind `#`, is the token: who has the address can use the viewer.

        With the host `0.0.0.0` it is the one for this machine. Others use this machine's address in its place.
        """
        return self._async.url

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._async.port

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return self._async.pages

    def wait_closed(self) -> None:
        """Wait until a page was open and all are closed: somebody can look and touch before the program goes on.

        A page that is reloaded is not closed.

        Raises:
            StreamerError: What ended the last session before that.
        """
        self._wait(self._async.wait_closed)

    def wait_ended(self) -> None:
        """Wait until the last of the sessions has ended.

        Raises:
            StreamerError: What ended it.
        """
        self._wait(self._async.wait_ended)
