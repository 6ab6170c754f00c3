"""What happened to a phone, in order: what it was told to do, what was waited for, and what changed on its screen."""
