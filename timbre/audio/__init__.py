"""Sound and arrays: reading, resampling, features, augmentation."""
