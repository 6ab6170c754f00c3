"""No test in this folder touches the system without the mark `edge`."""

from tests.support.edges import touches_no_edge

__all__ = ["touches_no_edge"]
