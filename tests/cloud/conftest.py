"""No secret stands in a log of the tests in this folder, and nothing waits long before it is tried again.

`api` is a scripted API, `cloud` and `phone` are connected to it.
"""

from tests.support.cloud_calls import log, quick_retries
from tests.support.vendor_calls import api, cloud, phone

__all__ = ["api", "cloud", "log", "phone", "quick_retries"]
