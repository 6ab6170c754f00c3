"""`expect` over a real connection: golden images and targets, in both faces."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import streamer
import streamer.sync
from streamer import emulator, golden
from streamer.media.playback.images import decode_image
from tests.steps import phone as at
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0


@pytest.fixture
async def phone() -> AsyncIterator[emulator.EmulatedPhone]:
    async with emulator.serve(**at.OPTIONS) as running:
        yield running


async def test_a_screen_matches_its_golden_image_in_another_session_and_no_other_screen_does(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "golden" / "home.png"
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        with pytest.raises(
            streamer.ConfigurationError, match=r"no image .*home\.png to .*: run pytest once with --phone-update-images"
        ):
            await streamer.expect(session).to_match_image(home)
        await streamer.expect(session).to_match_image(home, update=True, timeout_s=LIMIT_S)
        written = home.read_bytes()
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        screen = streamer.expect(session)
        await screen.to_match_image(home, timeout_s=LIMIT_S)
        await screen.to_match_image(home, update=True, timeout_s=LIMIT_S)
        assert home.read_bytes() == written  # it looks so already
        await session.apps.start(at.NOTICES)
        await session.wait_for_color(*at.BAR, "#ffffff", timeout_s=LIMIT_S)
        with pytest.raises(AssertionError, match=r"^after 3 s the screen was not home\.png: \d") as raised:
            await screen.to_match_image(home, timeout_s=3)
        error = raised.value
        assert isinstance(error, streamer.ExpectationError)
        actual, diff = error.files
        assert (actual, diff) == (home.with_suffix(".actual.png"), home.with_suffix(".diff.png"))
        assert f"see {diff} and {actual}; to accept" in str(error)
        assert error.frame is not None
        assert (decode_image(actual.read_bytes())[..., :3] == np.asarray(error.frame)).all()
        assert decode_image(diff.read_bytes()).shape == (at.HEIGHT, at.WIDTH, 4)
        assert error.difference is not None
        await screen.to_match_image(home, max_difference=error.difference, timeout_s=LIMIT_S)
        evidence = tmp_path / "evidence"
        monkeypatch.setattr(golden.defaults, "folder", evidence)
        await session.apps.start(at.SETTINGS)
        with pytest.raises(streamer.ExpectationError) as raised:
            await screen.to_match_image(home, timeout_s=3)
        assert {path.parent for path in raised.value.files} <= {evidence}
        monkeypatch.setattr(golden.defaults, "update", True)
        await screen.to_match_image(home, timeout_s=LIMIT_S)
        assert home.read_bytes() != written
        monkeypatch.setattr(golden.defaults, "update", False)
        x, y, _ = at.WIFI_SWITCH
        await session.tap(x, y).settled(timeout_s=LIMIT_S)
        switch = streamer.Region(x - 40, y - 20, 80, 40)
        with pytest.raises(streamer.ExpectationError, match=r"home\.png: 0\.\d+ % of it differed, in ") as raised:
            await screen.to_match_image(home, timeout_s=3)
        await screen.to_match_image(home, ignore=[switch], timeout_s=LIMIT_S)


async def test_an_image_of_another_size_and_one_that_is_none_say_so(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    small, broken = tmp_path / "small.png", tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        frame = await session.wait_until_still(timeout_s=LIMIT_S)
        frame.save(small, size=(180, 320))
        screen = streamer.expect(session)
        with pytest.raises(
            streamer.ExpectationError, match=r"the screen had 360x640 pixels, and small\.png 180x320: see \S+actual"
        ):
            await screen.to_match_image(small, timeout_s=3)
        with pytest.raises(streamer.ConfigurationError, match=r"broken\.png, which is none"):
            await screen.to_match_image(broken)
        with pytest.raises(streamer.ConfigurationError, match=r"a PNG file, got 'home\.jpg'"):
            await screen.to_match_image("home.jpg")
        with pytest.raises(streamer.ConfigurationError, match=r"from 0\.0 to 1\.0, got 5"):
            await screen.to_match_image(small, max_difference=5)


async def test_a_screen_that_never_rests_cannot_match(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        await session.apps.start("com.example.player")
        await session.wait_for_change(timeout_s=LIMIT_S)
        with pytest.raises(streamer.ExpectationError, match=r"^after 1 s the screen was not still: ") as raised:
            await streamer.expect(session).to_match_image(tmp_path / "player.png", update=True, timeout_s=1)
        assert raised.value.moving
        assert list(tmp_path.iterdir()) == []


async def test_a_target_is_expected_to_be_visible_and_hidden(phone: emulator.EmulatedPhone, connect: Connect) -> None:
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        frame = await session.wait_until_still(timeout_s=LIMIT_S)
        x, y = at.SIGN_IN_ICON
        target = session.get_by_image(
            np.asarray(frame)[y - 24 : y + 24, x - 24 : x + 24], name="icon.png", threshold=0.98
        )
        await streamer.expect(target).to_be_visible(timeout_s=LIMIT_S)
        with pytest.raises(AssertionError, match=r"^after 2 s icon\.png was still on the screen, at \("):
            await streamer.expect(target).to_be_hidden(timeout_s=2)
        await session.apps.start(at.SETTINGS)
        await streamer.expect(target).to_be_hidden(timeout_s=LIMIT_S)
        with pytest.raises(AssertionError, match=r"^after 2 s icon\.png was not on the screen; nearest: 0") as raised:
            await streamer.expect(target).to_be_visible(timeout_s=2)
        assert isinstance(raised.value, streamer.ExpectationError)
        assert raised.value.best is not None
        with pytest.raises(streamer.ConfigurationError, match="expected a Session or a Target of this face, got str"):
            streamer.expect("icon.png")  # type: ignore[call-overload]


async def test_a_target_matches_its_golden_image_wherever_it_is_found_and_whatever_moves_elsewhere(
    phone: emulator.EmulatedPhone, connect: Connect, tmp_path: Path
) -> None:
    places = {"switch": streamer.Region(0, 0, 1, 1), "clock": streamer.Region(0, 0, 90, 22)}

    def read(_: npt.NDArray[np.uint8]) -> list[streamer.TextLine]:
        return [streamer.TextLine(text, region) for text, region in places.items()]

    golden_image = tmp_path / "switch.png"
    async with connect(phone, read_text=read) as session, asyncio.timeout(LIMIT_S):
        await session.start_app(at.SETTINGS).settled(timeout_s=LIMIT_S)
        x, y, _ = at.WIFI_SWITCH
        places["switch"] = streamer.Region(x - 40, y - 40, 80, 80)
        switch = streamer.expect(session.get_by_text("switch"))
        await switch.to_match_image(golden_image, update=True, timeout_s=LIMIT_S)
        assert decode_image(golden_image.read_bytes()).shape == (80, 80, 4)
    places["switch"] = streamer.Region(x - 38, y - 43, 78, 82)  # as what reads text places it another time
    async with connect(phone, read_text=read) as session, asyncio.timeout(LIMIT_S):
        switch = streamer.expect(session.get_by_text("switch"))
        await switch.to_match_image(golden_image, timeout_s=LIMIT_S)
        await session.tap(x, y).settled(timeout_s=LIMIT_S)
        with pytest.raises(
            streamer.ExpectationError, match=r'^after 2 s "switch" was not switch\.png: \d+\.\d+ % of it differed, in '
        ) as raised:
            await switch.to_match_image(golden_image, timeout_s=2)
        assert decode_image(raised.value.files[0].read_bytes()).shape == (80, 80, 4)
        assert raised.value.difference is not None
        await switch.to_match_image(golden_image, ignore=[streamer.Region(0.0, 0.2, 1.0, 0.6)], timeout_s=LIMIT_S)
    places["switch"] = streamer.Region(x - 40, y - 30, 80, 60)
    async with connect(phone, read_text=read) as session, asyncio.timeout(LIMIT_S):
        switch = streamer.expect(session.get_by_text("switch"))
        with pytest.raises(streamer.ExpectationError, match=r'"switch" had 80x60 pixels, and switch\.png 80x80: see'):
            await switch.to_match_image(golden_image, timeout_s=2)
    del places["switch"]
    async with connect(phone, read_text=read) as session, asyncio.timeout(LIMIT_S):
        switch = streamer.expect(session.get_by_text("switch"))
        with pytest.raises(streamer.ExpectationError, match=r'^after 1 s "switch" was not on the screen'):
            await switch.to_match_image(golden_image, timeout_s=1)
        await session.start_app("com.example.player").changed(timeout_s=LIMIT_S)
        clock = streamer.expect(session.get_by_text("clock"))
        await clock.to_match_image(tmp_path / "clock.png", update=True, timeout_s=LIMIT_S)
        await clock.to_match_image(tmp_path / "clock.png", timeout_s=LIMIT_S)
        with pytest.raises(streamer.ExpectationError, match="the screen was not still"):
            await streamer.expect(session).to_match_image(tmp_path / "player.png", update=True, timeout_s=1)


async def test_the_sync_face_expects_alike(phone: emulator.EmulatedPhone, tmp_path: Path) -> None:
    def use() -> None:
        credentials = streamer.Token(phone.tenant_token)
        with (
            streamer.sync.timeout(LIMIT_S),
            streamer.sync.connect(phone.instance_id, endpoint=phone.endpoint, credentials=credentials) as session,
        ):
            screen = streamer.sync.expect(session)
            screen.to_match_image(tmp_path / "home.png", update=True, timeout_s=LIMIT_S)
            screen.to_match_image(tmp_path / "home.png", timeout_s=LIMIT_S)
            frame = session.wait_until_still()
            x, y = at.SIGN_IN_ICON
            icon = session.get_by_image(np.asarray(frame)[y - 24 : y + 24, x - 24 : x + 24], threshold=0.98)
            streamer.sync.expect(icon).to_be_visible(timeout_s=LIMIT_S)
            streamer.sync.expect(icon).to_match_image(tmp_path / "icon.png", update=True, timeout_s=LIMIT_S)
            with pytest.raises(AssertionError):
                streamer.sync.expect(icon).to_be_hidden(timeout_s=1)
            with pytest.raises(streamer.ConfigurationError, match=r"streamer\.sync has its own expect"):
                streamer.expect(session)  # type: ignore[call-overload]
            with pytest.raises(streamer.ConfigurationError, match=r"await streamer\.expect"):
                streamer.sync.expect(session._async)  # type: ignore[call-overload]

    await asyncio.to_thread(use)


async def test_a_text_is_expected_on_the_screen_and_within_a_target(
    phone: emulator.EmulatedPhone, connect: Connect
) -> None:
    """The program's own function reads: a white page is "page", and a blue button on it "Go"."""

    def read(pixels: npt.NDArray[np.uint8]) -> list[streamer.TextLine]:
        blue = (np.abs(pixels.astype(int) - at.BLUE).max(axis=2) < 30).any()
        return [streamer.TextLine("Go" if blue else "page", streamer.Region(x - 20, y - 10, 40, 20), 0.9)]

    x, y = at.SUBMIT
    async with connect(phone, read_text=read) as session, asyncio.timeout(LIMIT_S):
        await session.apps.start(at.SIGN_IN)
        await streamer.expect(session).to_have_text("go", timeout_s=LIMIT_S)
        with pytest.raises(AssertionError, match=r'^after 2 s "page" was not on the screen') as raised:
            await streamer.expect(session).to_have_text("page", timeout_s=2)
        assert isinstance(raised.value, streamer.ExpectationError)
        assert raised.value.nearby == ("Go",)
        frame = await session.wait_until_still(timeout_s=LIMIT_S)
        button = session.get_by_image(np.asarray(frame)[y - 20 : y + 20, x - 60 : x + 60], name="button.png")
        await streamer.expect(button).to_have_text("Go", timeout_s=LIMIT_S)
        with pytest.raises(AssertionError, match=r'^after 2 s .*"Gone" within button\.png was not on the screen'):
            await streamer.expect(button).to_have_text("Gone", timeout_s=2)
