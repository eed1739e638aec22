"""A labelled corpus of many voices, made on the spot by eSpeak NG."""
