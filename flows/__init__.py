"""Normalising flows of speech, with factors such as phone and speaker in parts."""
