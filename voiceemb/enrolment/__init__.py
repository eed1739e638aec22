"""Enrolled speakers on disk: open-set identification with calibrated scores."""
