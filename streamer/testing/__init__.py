"""Tests of apps on a phone: the pytest plugin, and what it keeps of a test that failed."""
