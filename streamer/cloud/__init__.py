"""The vendor's HTTP API: from credentials and an instance id to a `Ticket`."""
