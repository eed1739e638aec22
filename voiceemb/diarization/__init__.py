"""Speaker diarization: who speaks when in a recording."""
