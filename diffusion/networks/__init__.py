"""Networks that denoise: from a noisy sample, its time and its labels."""
