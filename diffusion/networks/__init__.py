"""What predicts: networks from a noisy sample, its time and its labels."""
