"""Bijectors: invertible maps with a log-determinant, and networks of them."""
