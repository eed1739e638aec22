"""Losses of speaker encoders: triplet, margin softmax, contrastive."""
