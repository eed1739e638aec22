"""Reversible maps of speech: what is said apart from who says it."""
