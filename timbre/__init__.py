"""The body that all systems share: sound, corpora, measures, training, serving."""
