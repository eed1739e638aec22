"""Training: run folders, the loop, optimisers, checkpoints, distribution."""
