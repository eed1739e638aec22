"""Live listening: audio in blocks, a timeline that only grows."""
