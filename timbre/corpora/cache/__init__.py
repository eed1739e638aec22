"""Caches of features on disk: built once, read at random, checked by digests."""
