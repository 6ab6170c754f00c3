"""The trust that the API and signaling share."""

import ssl

from streamer.cloud.http import tls_context


def test_authorities_are_read_once_and_verification_is_on() -> None:
    context = tls_context(True)
    assert context is tls_context(True)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_verification_is_off_only_for_who_says_so() -> None:
    context = tls_context(False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert tls_context(True).verify_mode == ssl.CERT_REQUIRED


def test_a_context_of_the_users_own_is_used_as_it_is() -> None:
    own = ssl.create_default_context()
    assert tls_context(own) is own
