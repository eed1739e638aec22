"""Parts of the evaluation: score normalisation, baseline, robustness."""
