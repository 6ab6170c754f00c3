"""No secret stands in a log of the tests in this folder, and nothing waits long before it is tried again."""

from tests.support.cloud_calls import log, quick_retries

__all__ = ["log", "quick_retries"]
