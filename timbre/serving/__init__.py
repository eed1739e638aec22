"""The way out: SavedModels that a server loads."""
