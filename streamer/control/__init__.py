"""Acting on the phone, as pure logic: bytes of the data channel `input`, gestures, keys and places on the screen."""
