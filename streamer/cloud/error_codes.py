"""The vendor's error codes: what each means, and whether trying again helps [doc, the table of ErrorCode.html].

The stored table ends at 3009, and newer rows exist: an unknown code is shown unchanged, and the HTTP status decides.
"""

from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """A row of the table; `retryable` is our judgement, except where the vendor says "wait", and so is the remedy."""

    text: str
    retryable: bool = False
    remedy: str = ""


_FAMILY: Final = "KOOPHONE.API."
_MEANINGS: Final = {
    "0000": Meaning("the tenant does not exist"),
    "0001": Meaning("the header x-tenant-id is missing"),
    "0002": Meaning("the header x-request-id is missing"),
    "0004": Meaning("the project does not exist"),
    "0005": Meaning("a request header is missing"),
    "1000": Meaning("a request parameter is wrong"),
    "1001": Meaning("no permission on this instance", remedy="give the user permission"),
    "1002": Meaning("the instance belongs to another region", remedy="use that region's endpoint"),
    "1004": Meaning("the service is not subscribed"),
    "1012": Meaning("the instance is not under this tenant", remedy="check the instance id"),
    "1323": Meaning("the app's installation task does not exist"),
    "2001": Meaning("the cloud app does not exist"),
    "2002": Meaning("the cloud app is not authorised"),
    "2003": Meaning("no instance is free", True),
    "2004": Meaning("the instance is frozen"),
    "2005": Meaning("the instance is being restored", True),
    "2006": Meaning("the instance is being backed up", True),
    "3002": Meaning("no such sku or region"),
    "3003": Meaning("the OS version is missing"),
    "3006": Meaning("months must be 1 to 9"),
    "3007": Meaning("years must be 1 to 3"),
    "3008": Meaning("fast_install must be 0 or 1"),
    "4001": Meaning("the instance does not exist", remedy="check the instance id"),
    "5002": Meaning("a time has the wrong format"),
    "5004": Meaning("the end of the time range is before its start"),
    "5005": Meaning("not all instances are running"),
    "9999": Meaning("an internal error of the service", True),
}


def meaning_of(error_code: str) -> Meaning | None:
    """Return the table's row for a code, whatever its letter case; None if it has none."""
    code = error_code.upper()
    return _MEANINGS.get(code.removeprefix(_FAMILY)) if code.startswith(_FAMILY) else None
