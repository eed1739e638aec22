"""Segments of speech as rows of features with labels, and their splits."""
