"""Voices that never existed: a diffusion over speaker embeddings."""
