"""The phones of one pytest process: those of its pool or emulators, and the connection that tests share."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

import streamer
import streamer.sync
from streamer.sync.loop_thread import begin_use
from streamer.testing.insides import async_of, pause_after_actions, wait_in_loop
from streamer.testing.settings import Settings
from streamer.testing.witness import BEFORE_S

PREROLL_S: Final = BEFORE_S + 5.0  # a video begins with a keyframe, which may be some seconds older
EMULATOR_CALLS_PER_MINUTE: Final = 6000  # the emulator need not be spared


class Emulator:
    """An emulator that runs in the loop of `streamer.sync`. Close it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        from streamer import emulator  # noqa: PLC0415 - it draws with an extra

        self._loop = begin_use()
        try:
            self._serving = emulator.serve(**{"screen": "apps", **options})
            self.phone = self._loop.wait(self._serving.__aenter__)
        except BaseException:
            self._loop.end_use()
            raise

    def close(self) -> None:
        """End it."""
        try:
            self._loop.wait(self._serving.__aexit__, None, None, None)
        finally:
            self._loop.end_use()


class Phones:
    """Gives sessions. `close` ends them, and the emulators."""

    def __init__(
        self,
        settings: Settings,
        instances: tuple[str, ...],
        emulator_options: Mapping[str, Any],
        tell: Callable[[str], None],
    ) -> None:
        """Give sessions. `tell` shows a line in the terminal."""
        self.settings = settings
        self._tell = tell
        self._shown = contextlib.ExitStack()  # the viewer of the session that tests share
        self._instances = instances
        self._emulator_options = emulator_options
        self._emulators: list[Emulator] = []
        self._session: streamer.sync.Session | None = None
        if not settings.instances:
            self._emulators.append(Emulator(emulator_options))
        elif not instances:
            raise streamer.ConfigurationError(
                f"expected a phone for each process of pytest-xdist, got {len(settings.instances)}: give "
                "--phone-instance more often, or start fewer processes"
            )

    @property
    def instance_id(self) -> str:
        """The instance of the process."""
        return self._emulators[0].phone.instance_id if self._emulators else self._instances[0]

    def connect_options(self) -> dict[str, Any]:
        """Return what `connect` gets, unless a test suite says otherwise."""
        common = {"preroll_s": PREROLL_S, "keep_awake": True}
        if self._emulators:
            return common | _options_of(self._emulators[0])
        if self.settings.endpoint is None:
            raise streamer.ConfigurationError(
                "expected an endpoint for the phone, got none: give --phone-endpoint, or set STREAMER_ENDPOINT, to the "
                "API's base URL (Huawei's own is https://koophone.myhuaweicloud.com)"
            )
        return common | {
            "endpoint": self.settings.endpoint,
            "credentials": streamer.credentials_from_environment(),
        }

    def reset(self, options: Mapping[str, Any]) -> None:
        """Reset the phone to its first state, if that is wanted. An emulator is new."""
        if self.settings.reset == "factory" and not self._emulators:
            names = {"endpoint", "credentials", "verify"} & options.keys()
            with streamer.sync.Cloud(**{name: options[name] for name in names}) as cloud:
                cloud.phone(self.instance_id).reset()

    def session(self, options: Mapping[str, Any]) -> streamer.sync.Session:
        """Return the session that tests share: a new one if the last one has ended."""
        if self._session is None or self._session.state == "closed":
            self.leave()
            self._session = self._connected(self.instance_id, options)
            self._shown.enter_context(self._showing(self._session))
        return self._session

    def leave(self) -> None:
        """Close the session that tests share: a phone serves one connection at a time."""
        self._shown.close()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    @contextlib.contextmanager
    def another(self, number: int, options: Mapping[str, Any]) -> Iterator[streamer.sync.Session]:
        """Give a session with another phone, from 1 on."""
        instance_id, more = self.another_options(number, options)
        with self._connected(instance_id, more) as session, self._showing(session):
            yield session

    def another_options(self, number: int, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the instance id of another phone, from 1 on, and what `connect` gets beside it. It may block."""
        if not self.settings.instances:
            while len(self._emulators) <= number:
                name = f"demo-phone-{len(self._emulators) + 1}"
                self._emulators.append(Emulator({**self._emulator_options, "instance_id": name}))
            emulated = self._emulators[number]
            return emulated.phone.instance_id, {**options, **_options_of(emulated)}
        if len(self._instances) <= number:
            raise streamer.ConfigurationError(
                f"expected {number + 1} phones for this test, got {len(self._instances)}: give --phone-instance more "
                "often; each process of pytest-xdist needs as many"
            )
        return self._instances[number], dict(options)

    @contextlib.asynccontextmanager
    async def showing(self, session: streamer.Session) -> AsyncIterator[None]:
        """Show a session in the browser within the block, if that is wanted."""
        if not self.settings.show:
            yield
            return
        async with session.view(open_browser=True) as viewer:
            self._tell(f"{session.instance_id} is at {viewer.url}")
            yield

    @contextlib.contextmanager
    def _showing(self, session: streamer.sync.Session) -> Iterator[None]:
        if not self.settings.show:
            yield
            return
        with session.view(open_browser=True) as viewer:
            self._tell(f"{session.instance_id} is at {viewer.url}")
            yield

    def close(self) -> None:
        """End everything."""
        with contextlib.ExitStack() as stack:
            for emulated in self._emulators:
                stack.callback(emulated.close)
            stack.callback(self.leave)

    def _connected(self, instance_id: str, options: Mapping[str, Any]) -> streamer.sync.Session:
        session = streamer.sync.connect(instance_id, **options)
        try:
            wait_in_loop(session, lambda: make_ready(async_of(session), self.settings))
        except BaseException:
            session.close()
            raise
        return session


async def make_ready(session: streamer.Session, settings: Settings) -> None:
    """Wait for the first frame: the video of a test begins with it. Pause after each action, if that is wanted."""
    pause_after_actions(session, settings.slowmo_s)
    await session.screenshot()


def _options_of(emulated: Emulator) -> dict[str, Any]:
    return {
        "endpoint": emulated.phone.endpoint,
        "credentials": streamer.Token(emulated.phone.tenant_token),
        "calls_per_minute": EMULATOR_CALLS_PER_MINUTE,
    }
