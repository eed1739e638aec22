"""Parts of the evaluation: measures, manipulation, probe classifiers, t-SNE."""
