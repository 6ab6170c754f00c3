"""What changes on the screen and when it is still: logic without I/O, on frames reduced to blocks."""
