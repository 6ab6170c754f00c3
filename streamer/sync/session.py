"""Written by tests/support/sync_faces.py from the async face: `make sync` writes it again."""

import collections.abc
import contextlib
import os
import ssl
import typing

import streamer
from streamer.sync.apps import AnimationsOff, Apps
from streamer.sync.face import Owner, open_phone
from streamer.sync.iterators import EventIterator
from streamer.sync.recording import Recording
from streamer.sync.streams import Streams
from streamer.sync.targets import Targets
from streamer.sync.verbs import Verbs
from streamer.sync.viewing import Viewer
from streamer.sync.waits import Waits
from streamer.sync.watched import Watched


class Session(Streams, Targets, Verbs, Waits, Owner[streamer.Session]):
    """A phone's screen, audio and input. Iterate it for decoded frames, the newest first.

    `connect` makes it. It ends when its block is left, when it is closed, or when the stream ends. Iterators then end
    too, with the error that ended the stream, if there is one. A session that nobody closes is closed when the program
    drops it or ends, with a ResourceWarning.

    Any thread may use it.
    """

    @property
    def instance_id(self) -> str:
        """The phone's instance id."""
        return self._async.instance_id

    @property
    def device_id(self) -> str:
        """The phone's device id."""
        return self._async.device_id

    @property
    def audio_ports(self) -> streamer.AudioPorts:
        """The phone's audio ports; they may change when the session reconnects."""
        return self._async.audio_ports

    @property
    def expires_in_s(self) -> float | None:
        """How long the stream may last at a stretch [doc], in seconds; None if the API does not say.

        The session renews the stream before that.
        """
        return self._async.expires_in_s

    @property
    def audio_port(self) -> streamer.AudioPort | None:
        """The audio port in force: the external one where there is one, else the internal one."""
        return self._async.audio_port

    @property
    def preroll_s(self) -> float:
        """How many seconds before now a recording may begin: what `connect(preroll_s=...)` was given."""
        return self._async.preroll_s

    @property
    def state(self) -> str:
        """One of "connecting", "streaming", "interrupted" and "closed"."""
        return self._async.state

    @property
    def error(self) -> Exception | None:
        """The error that ended the session; None while it goes on, and after it was left."""
        return self._async.error

    @property
    def status(self) -> streamer.Event:
        """The newest event that tells the present state: the first one that `events` gives."""
        return self._async.status

    def events(self) -> EventIterator:
        """Return an iterator of what happens to the session, from the event of its present state on.

        Several may be read at once. A consumer more than 100 events behind loses the oldest ones. Iteration ends after
        "closed".
        """
        return EventIterator(self._do(self._async.events), self)

    def record(
        self,
        target: str | os.PathLike[str] | typing.IO[bytes],
        *,
        overwrite: bool = False,
        before_s: float = 0.0,
        segment_s: float | None = None,
        segment_bytes: int | None = None,
        max_duration_s: float | None = None,
        max_bytes: int | None = None,
        manifest: str | os.PathLike[str] | None = None,
        transcode: streamer.Transcode | None = None,
    ) -> Recording:
        """Record until the recording is stopped, a limit is reached, or the session ends.

        Video and audio are copied, not encoded again. Use `with`, or call `stop` yourself.

        Args:
            target: The file: `.mp4`, `.mkv`, `.webm` or `.ts`. Braces make it a pattern for several files, such as
                `clip-{:04d}.mp4` or `{start:%H%M%S}.mp4`. An open binary file, such as a pipe, gets MPEG-TS.
            overwrite: Replace a file that exists. Without it that is a RecordingError, and the file stays as it is.
            before_s: Begin so many seconds ago, as far as `connect(preroll_s=...)` has kept them.
            segment_s: Begin another file with the first keyframe after so many seconds.
            segment_bytes: Begin another file when one is about this large.
            max_duration_s: End the recording after so many seconds.
            max_bytes: End the recording before all files together are larger.
            manifest: A file that gets a JSON line for each finished file.
            transcode: Encode the frames again: at a constant rate, in another codec or size, with the time on them. If
                that is too slow, frames are left out and counted in `dropped`; the stream and the audio do not suffer.

        Raises:
            ConfigurationError: The kind of file is not known or cannot hold what the phone sends, or a limit is wrong.
            RecordingError: The file exists or cannot be created.
            StreamerError: What ended the session, if it has ended.
        """
        return Recording(
            self._do(
                self._async.record,
                target,
                overwrite=overwrite,
                before_s=before_s,
                segment_s=segment_s,
                segment_bytes=segment_bytes,
                max_duration_s=max_duration_s,
                max_bytes=max_bytes,
                manifest=manifest,
                transcode=transcode,
            ),
            self,
        )

    def view(
        self,
        *,
        open_browser: bool = False,
        read_only: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        embed_from: collections.abc.Sequence[str] = (),
    ) -> contextlib.AbstractContextManager[Viewer]:
        """Show the phone in the browser while the block runs: `with phone.view() as viewer`.

        Nothing is encoded again. The page acts on the phone as the program does, with mouse, fingers and keys.

        Args:
            open_browser: Open the page in the browser, if there is one. Without it, open the viewer's `url` yourself.
            read_only: The page shows, and cannot touch or record.
            host: The IP address to listen on. On any but loopback, others on the network reach the page.
            port: The port; 0 takes a free one.
            token: What a page has to know, at least 16 characters; None makes one.
            embed_from: The origins, such as "https://lab.example", whose pages may have the viewer in an `<iframe>`,
                hear what happens to the phone, and act on it. By default no page of another may.

        Raises:
            ConfigurationError: The address cannot be listened on, the port is taken, the token is too short, or
                something is no origin.
        """
        return self._block(
            Viewer,
            self._async.view,
            open_browser=open_browser,
            read_only=read_only,
            host=host,
            port=port,
            token=token,
            embed_from=embed_from,
        )

    def request_keyframe(self) -> None:
        """Ask the phone for a keyframe, again and again until one comes."""
        self._do(self._async.request_keyframe)

    def wait_connected(self) -> None:
        """Wait until media can flow.

        Raises:
            StreamerError: What ended the session before that.
        """
        self._wait(self._async.wait_connected)

    def wait_ended(self) -> None:
        """Wait until the session ends.

        Raises:
            StreamerError: What ended it.
        """
        self._wait(self._async.wait_ended)

    def wait_input(self) -> None:
        """Wait until the phone can be acted on: its data channel `input` is open. Every action does so by itself.

        Raises:
            StreamerError: What ended the session before that.
        """
        self._wait(self._async.wait_input)

    def stats(self) -> streamer.Stats:
        """Return a snapshot of the session's counters."""
        return self._do(self._async.stats)

    def close(self) -> None:
        """Leave the phone and close everything; recordings are finished first."""
        self._close()

    def __enter__(self) -> typing.Self:
        self._wait(self._async.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def apps(self) -> Apps:
        """The apps of the phone."""
        return Apps(self._async.apps, self)

    def shell(self, command: str, *, wait_s: float | None = None) -> streamer.ShellResult:
        """Run a command of the phone's shell, and return what it printed.

        Commands with the same credentials wait for each other: the API takes a few a minute.

        Args:
            command: At most 1024 letters, digits, spaces and `_ . / : -`; the API carries no other signs [doc].
            wait_s: How long to wait for a slow command, in seconds. The API then runs it in the background, and is
                asked for the result. The last answer may take 10 s more. None is for commands that end within two
                seconds or so.

        Raises:
            ConfigurationError: The API cannot carry the command; the sign is named. Nothing was sent.
            JobFailedError: The command failed.
            CloudUnclearError: The command may have run. It may still run, if `wait_s` was too short.
        """
        return self._wait(self._async.shell, command, wait_s=wait_s)

    def disable_animations(self) -> AnimationsOff:
        """Return a context manager: within its block the phone's windows and views do not animate.

        It reads three settings, sets those that are not 0, and puts them back when the block is left. These are up to
        nine commands, which wait for the limit of the API.
        """
        return AnimationsOff(self._do(self._async.disable_animations), self)

    @property
    def watched(self) -> Watched:
        """The verbs, for actions that are asked what came of them: `phone.watched.tap(0.5, 0.5).settled()`."""
        return Watched(self._async, self)


def connect(
    instance_id: str,
    *,
    endpoint: str,
    credentials: streamer.Credentials | str,
    timeout_s: float = 20.0,
    verify: bool | ssl.SSLContext | str | os.PathLike[str] = True,
    relay_only: bool = False,
    stream_type: int | None = 2,
    preroll_s: float = 0.0,
    volume: int = 100,
    reconnect: streamer.Reconnect | None = streamer.Reconnect(),
    prepare_for: str | None = None,
    prepare_timeout_s: float = 300.0,
    release: bool = False,
    keep_awake: bool = False,
    calls_per_minute: int | None = None,
    read_text: streamer.ReadText | None = None,
    decoder: typing.Literal["cpu", "cuda", "auto"] = "cpu",
) -> Session:
    """Connect to a phone and give a `Session`.

    `with connect(...) as phone` closes the session when the block is left. `phone = connect(...)` does not: the caller
    closes it with `phone.close()`, or with `with phone`.

    Args:
        instance_id: The phone's instance id.
        endpoint: The API's base URL, which may carry a path. The vendor's own is https://koophone.myhuaweicloud.com
            [doc].
        credentials: Who the tenant is: a Token, TokenFile, TokenProvider, Password or AccessKey. A text is a Token. A
            Token is never replaced, so a session longer than its life (24 hours [doc]) needs one of the others.
        timeout_s: How long connecting may take, from the first call to an encrypted media path, in seconds.
        verify: How TLS certificates of the API, signaling and TURN are verified: True trusts the system's authorities
            and Mozilla's; a PEM file or an `ssl.SSLContext` brings other ones; False verifies nothing.
        relay_only: Send all media through the TURN servers that the API names, so that the phone does not learn this
            machine's addresses. Connecting raises ConnectionFailedError if there is no such server.
        stream_type: What the auth call asks for: 2 is browser streaming [assumed]; None leaves it out.
        preroll_s: Keep the last so many seconds in memory, encoded, for `record(before_s=...)` and `Target.seen`. From
            0 to 120.
        volume: How loud the phone plays, from 0 (silence) to 100 [seen].
        reconnect: How hard the session tries to stay up once it has streamed. Iterators and recordings go on with a new
            connection. None ends the session with the first error. An error that another try cannot mend, such as a
            device that took the phone over, always ends it.
        prepare_for: Bring the instance up first, for this user id of your own. It happens again, within the limits of
            `reconnect`, if the API says that the instance is not ready.
        prepare_timeout_s: How long bringing the instance up may take, in seconds.
        release: End the stream and give the instance back when the session is closed, whatever happened, within 5 s.
            Without it the instance stays taken for a while [doc]. An instance that another device took over is left
            alone.
        keep_awake: Send an input that does nothing every 20 s, against a phone that closes a stream without input
            (1403): a MOVE of a finger that is not down [assumed]. From the first data channel on.
        calls_per_minute: How many commands a minute are sent with these credentials, by `shell` and `apps`. None leaves
            it as it is: 6 at first, which is what the vendor allows in a sister product [assumed].
        read_text: A function that reads the screen for `get_by_text`, instead of the extra `ocr`. It is called in a
            thread with an array of RGB pixels, of shape (height, width, 3), and returns a TextLine for each line.
        decoder: Where frames are decoded: "cpu"; "cuda", on an NVIDIA GPU, which copies each frame to the CPU's memory;
            or "auto", on a GPU if there is one that takes the stream, and otherwise on the CPU.

    Connecting raises ConfigurationError, CloudError, SignalingError or ConnectionFailedError. Nothing is left open
    then, nor after Ctrl-C.

    Raises:
        ConfigurationError: An argument is wrong; nothing was sent.
    """
    return open_phone(
        Session,
        streamer.connect(
            instance_id,
            endpoint=endpoint,
            credentials=credentials,
            timeout_s=timeout_s,
            verify=verify,
            relay_only=relay_only,
            stream_type=stream_type,
            preroll_s=preroll_s,
            volume=volume,
            reconnect=reconnect,
            prepare_for=prepare_for,
            prepare_timeout_s=prepare_timeout_s,
            release=release,
            keep_awake=keep_awake,
            calls_per_minute=calls_per_minute,
            read_text=read_text,
            decoder=decoder,
        ),
    )
