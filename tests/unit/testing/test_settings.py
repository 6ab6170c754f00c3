"""The plugin's options: what counts where several say something, and what none may say."""

from pathlib import Path

import pytest

from streamer.testing.settings import OPTIONS, Settings
from tests.support.plugin_settings import settings


def test_by_default_an_emulator_is_the_phone_and_failures_are_kept() -> None:
    assert settings() == Settings(
        instances=(),
        is_pool_given=False,
        endpoint=None,
        video="retain-on-failure",
        screenshot="only-on-failure",
        timeline="retain-on-failure",
        timeline_text=False,
        output=Path("/suite/test-results"),
        reset="none",
        slowmo_s=0.0,
        show=False,
        update_images=False,
    )


def test_the_command_line_counts_before_the_environment_and_that_before_the_file() -> None:
    in_file = {"phone_video": "off", "phone_endpoint": "https://file"}
    assert settings(in_file=in_file).video == "off"
    assert settings(in_file=in_file, STREAMER_PHONE_VIDEO="on").video == "on"
    both = settings({"phone_video": "retain-on-failure-and-retries"}, in_file, STREAMER_PHONE_VIDEO="on")
    assert both.video == "retain-on-failure-and-retries"
    assert both.endpoint == "https://file"
    assert settings(in_file=in_file, STREAMER_ENDPOINT="https://environment").endpoint == "https://environment"


def test_a_pool_is_one_list_wherever_it_is_given() -> None:
    assert settings({"phone_instance": ["a", "b,c"]}).instances == ("a", "b", "c")
    assert settings(in_file={"phone_instance": ["a", "b"]}).is_pool_given
    by_environment = settings(STREAMER_INSTANCE="a, b")
    assert (by_environment.instances, by_environment.is_pool_given) == (("a", "b"), False)
    assert settings({"phone_instance": [""]}, STREAMER_INSTANCE="a").instances == ()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"STREAMER_PHONE_VIDEO": "always"}, "expected on, off, .* for phone_video, got 'always'"),
        ({"STREAMER_PHONE_SLOWMO": "-1"}, "expected seconds from 0 to 60 for phone_slowmo, got '-1'"),
        ({"STREAMER_PHONE_SLOWMO": "slow"}, "got 'slow'"),
        ({"STREAMER_PHONE_UPDATE_IMAGES": "maybe"}, "expected true or false for phone_update_images, got 'maybe'"),
    ],
)
def test_what_an_option_cannot_be_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(pytest.UsageError, match=message):
        settings({}, {}, **environment)


def test_a_flag_can_be_set_everywhere() -> None:
    assert settings({"phone_update_images": True}).update_images
    assert settings(in_file={"phone_update_images": "true"}).update_images
    assert settings(STREAMER_PHONE_TIMELINE_TEXT="yes").timeline_text
    assert not settings(in_file={"phone_timeline_text": "true"}, STREAMER_PHONE_TIMELINE_TEXT="0").timeline_text


def test_each_option_has_a_sentence() -> None:
    assert all(option.help.endswith(".") for option in OPTIONS)
