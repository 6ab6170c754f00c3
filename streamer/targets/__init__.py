"""What is to be found on a frame, and where it is: pure functions of a frame's pixels."""
