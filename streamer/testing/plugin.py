"""The pytest plugin: the fixtures `phone` and `async_phone`, their options, and what is kept of a test that failed.

pytest loads this module at each start, so it imports nothing that takes time. What a fixture needs is imported when a
test asks for it.
"""

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from streamer.testing.running import RUNNING, app_of, running_test
from streamer.testing.settings import SETTINGS, Settings, add_options, read_settings

if TYPE_CHECKING:
    import streamer
    import streamer.sync
    from streamer.testing.phones import Phones

POOL: Final = pytest.StashKey[list[str]]()  # of the process that distributes: instances that no other process has
TOLD: Final = pytest.StashKey[set[str]]()  # and what the other processes have told of their phones
NO_PHONE: Final = "expected a test that uses a phone under the mark phone_budget, got one that does not"
MARKS: Final = (
    "phone(app, reset): start an app on the phone before the test; reset='app' clears its data first",
    "phone_budget(settled_s, longest_gap_s, first_change_s): fail the test if an action took longer, in seconds",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options. With pytest-asyncio there are fixtures that it runs."""
    config.stash[SETTINGS] = read_settings(config)
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    if config.pluginmanager.hasplugin("asyncio"):
        from streamer.testing import asyncio_fixtures  # noqa: PLC0415 - it imports pytest-asyncio, which is there

        config.pluginmanager.register(asyncio_fixtures, "streamer_asyncio")


# What pytest-xdist calls, in the process that distributes.


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[object]) -> None:
    """Share the phones out. Too few are an error at the start, if they were given for these tests."""
    settings = config.stash[SETTINGS]
    config.stash[POOL] = list(settings.instances)
    config.stash[TOLD] = set()
    if settings.is_pool_given and 0 < len(settings.instances) < len(specs):
        raise pytest.UsageError(
            f"expected a phone for each of {len(specs)} processes, got {len(settings.instances)}: give "
            f"--phone-instance {len(specs)} times, or start fewer processes (-n)"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a process its phones: every Nth. One that replaces another gets the phones of that one."""
    pool, count = node.config.stash[POOL], int(node.workerinput["workercount"])
    instances = node.config.stash[SETTINGS].instances
    number = instances.index(pool[0]) % count if pool else 0
    mine = [name for name in pool if instances.index(name) % count == number]
    node.config.stash[POOL] = [name for name in pool if name not in mine]
    node.workerinput["phone_instances"] = mine


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take back the phones of a process that has ended, and note which ones it had."""
    node.config.stash[POOL] += node.workerinput.get("phone_instances", [])
    node.config.stash[TOLD] |= set(getattr(node, "workeroutput", {}).get("phones", ()))


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say once which phones the other processes had."""
    for line in sorted(config.stash.get(TOLD, ())):
        terminalreporter.write_line(line)


@pytest.hookimpl
def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """Say once which phone the tests use."""
    if any("_phones" in getattr(item, "fixturenames", ()) for item in items):
        return _told(config.stash[SETTINGS], _instances(config))
    return None


# The life of a test.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Hold a test against its budget."""
    yield
    if (marker := item.get_closest_marker("phone_budget")) is not None:
        running = item.stash.get(RUNNING, None)
        over = NO_PHONE if running is None else running.check_budget(marker.args, marker.kwargs)
        if over is not None:
            pytest.fail(over, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the options say of a test, and name it in the reports."""
    running = item.stash.get(RUNNING, None)
    if running is None:
        return (yield)
    from streamer.testing import evidence, reports  # noqa: PLC0415 - a test has used it

    if call.when == "call":
        item.user_properties += [(f"phone_{name}", seconds) for name, seconds in running.measured.items()]
    reports.cut_traceback(item.config, call)
    report = yield
    error = None if call.excinfo is None else call.excinfo.value
    if (kept := running.keep(report, error)) is not None:
        sentence = None if error is None else evidence.sentence_of(error)
        reports.tell(report, kept, sentence, item.config.invocation_params.dir)
        reports.attach(item.config, report, [*kept.files, *evidence.files_of(error)])
    if call.when == "teardown":
        running.end()
        del item.stash[RUNNING]
    return report


def _instances(config: pytest.Config) -> tuple[str, ...]:
    """Return the instances of this process."""
    worker = getattr(config, "workerinput", None)
    return config.stash[SETTINGS].instances if worker is None else tuple(worker["phone_instances"])


def _told(settings: Settings, instances: Sequence[str]) -> str:
    if not settings.instances:
        return "phone: an emulator with its apps (--phone-instance names a phone of yours)"
    return f"phone: {', '.join(instances)} at {settings.endpoint}"


def _tell(config: pytest.Config, line: str) -> None:
    """Write a line between the tests' dots. The processes of pytest-xdist have no terminal."""
    terminal, capture = map(config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))
    if terminal is not None and capture is not None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(f"phone: {line}")


# The fixtures.


@pytest.fixture(scope="session")
def phone_emulator_options() -> dict[str, Any]:
    """What `streamer.emulator.serve` gets where no phone is given. Override it to change the screen or its faults."""
    return {}


@pytest.fixture(scope="session")
def _phones(request: pytest.FixtureRequest, phone_emulator_options: dict[str, Any]) -> Iterator["Phones"]:
    from streamer.testing.phones import Phones  # noqa: PLC0415 - see above

    config = request.config
    settings, instances = config.stash[SETTINGS], _instances(config)
    if hasattr(config, "workeroutput"):
        config.workeroutput["phones"] = [_told(settings, instances)]
    phones = Phones(settings, instances, phone_emulator_options, functools.partial(_tell, config))
    try:
        yield phones
    finally:
        phones.close()


@pytest.fixture(scope="session")
def phone_connect_options(_phones: "Phones") -> dict[str, Any]:
    """What `streamer.connect` gets beside the instance id. Override it: `{**phone_connect_options, "volume": 0}`."""
    return _phones.connect_options()


@pytest.fixture(scope="session")
def _reset_phone(_phones: "Phones", phone_connect_options: dict[str, Any]) -> None:
    _phones.reset(phone_connect_options)


@pytest.fixture(scope="session")
def phone_session(
    _phones: "Phones", _reset_phone: None, phone_connect_options: dict[str, Any]
) -> "streamer.sync.Session":
    """The connection that all tests of this process share, without asyncio, for fixtures of your own."""
    return _phones.session(phone_connect_options)


@contextlib.contextmanager
def _watching(item: pytest.Item, session: "streamer.sync.Session") -> Iterator[None]:
    from streamer.errors import ConnectionLostError  # noqa: PLC0415 - see above
    from streamer.testing.insides import async_of, wait_in_loop  # noqa: PLC0415

    def in_loop(act: Callable[[], None]) -> None:
        async def acting() -> None:
            act()

        try:
            wait_in_loop(session, acting)
        except ConnectionLostError:  # it is closed, and so is what the function ends
            act()

    with running_test(item).watching(async_of(session), in_loop):
        yield


@pytest.fixture
def phone(
    request: pytest.FixtureRequest, _phones: "Phones", _reset_phone: None, phone_connect_options: dict[str, Any]
) -> Iterator["streamer.sync.Session"]:
    """The phone, without asyncio. Its connection is kept from test to test."""
    if "async_phone" in request.fixturenames:
        pytest.fail("expected one of phone and async_phone in a test, got both: a phone serves one connection")
    session = _phones.session(phone_connect_options)
    with _watching(request.node, session):
        app, clears = app_of(request.node)
        if app is not None:
            from streamer.testing.insides import async_of, wait_in_loop  # noqa: PLC0415 - see above
            from streamer.testing.starting import start_app  # noqa: PLC0415

            with session.step(f"start {app}"):
                wait_in_loop(session, lambda: start_app(async_of(session), app, clears=clears))
        yield session


@pytest.fixture
def new_phone(
    request: pytest.FixtureRequest, _phones: "Phones", phone_connect_options: dict[str, Any]
) -> Iterator[Callable[[], "streamer.sync.Session"]]:
    """A function that connects to another phone of the pool, or to another emulator, and gives its session."""
    with contextlib.ExitStack() as stack:
        count = 0

        def connect() -> "streamer.sync.Session":
            nonlocal count
            count += 1
            session = stack.enter_context(_phones.another(count, phone_connect_options))
            stack.enter_context(_watching(request.node, session))
            return session

        yield connect


@pytest.fixture
def phone_output(request: pytest.FixtureRequest) -> Path:
    """The folder of this test, for files of your own. It stays if there is something in it."""
    folder = running_test(request.node).folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def async_phone(
    request: pytest.FixtureRequest, _phones: "Phones", _reset_phone: None, phone_connect_options: dict[str, Any]
) -> "streamer.Session":
    """The phone, in the event loop of the test: pytest-asyncio or anyio runs it. Each test has its own connection."""
    session: streamer.Session = request.getfixturevalue(_async_fixture(request))
    return session


@pytest.fixture
async def _phone_in_anyio_loop(
    request: pytest.FixtureRequest, _phones: "Phones", phone_connect_options: dict[str, Any]
) -> AsyncIterator["streamer.Session"]:
    from streamer.testing.async_phone import connected  # noqa: PLC0415 - see above

    async with connected(request.node, _phones, phone_connect_options) as session:
        yield session


@pytest.fixture
def new_async_phone(
    request: pytest.FixtureRequest, _phones: "Phones", phone_connect_options: dict[str, Any]
) -> Callable[[], Awaitable["streamer.Session"]]:
    """As `new_phone`, in the event loop of the test: `other = await new_async_phone()`."""
    connect: Callable[[], Awaitable[streamer.Session]] = request.getfixturevalue(_async_fixture(request, "_new_phone"))
    return connect


@pytest.fixture
async def _new_phone_in_anyio_loop(
    request: pytest.FixtureRequest, _phones: "Phones", phone_connect_options: dict[str, Any]
) -> AsyncIterator[Callable[[], Awaitable["streamer.Session"]]]:
    from streamer.testing.async_phone import connecting  # noqa: PLC0415 - see above

    async with connecting(request.node, _phones, phone_connect_options) as connect:
        yield connect


def _async_fixture(request: pytest.FixtureRequest, what: str = "_phone") -> str:
    """Return the name of the fixture that runs in the event loop of the test."""
    if "anyio_backend" in request.fixturenames:
        return f"{what}_in_anyio_loop"
    marker = request.node.get_closest_marker("asyncio")
    if marker is None or not request.config.pluginmanager.hasplugin("asyncio"):
        pytest.fail(
            "expected a test that pytest-asyncio or anyio runs, got another one: install one of them, and mark the "
            "test with pytest.mark.asyncio or pytest.mark.anyio; or use the fixtures `phone` and `new_phone`",
            pytrace=False,
        )
    scope = marker.kwargs.get("loop_scope") or request.config.getini("asyncio_default_test_loop_scope") or "function"
    return f"{what}_in_{scope}_loop"
