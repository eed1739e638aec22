"""Speaker networks: from frames of features to one vector per utterance."""
