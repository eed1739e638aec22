"""Serving: SavedModels with signatures, checks of requests, published versions."""
