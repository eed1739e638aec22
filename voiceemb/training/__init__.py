"""What training a speaker encoder needs: trainers, batches, augmentation, splits."""
