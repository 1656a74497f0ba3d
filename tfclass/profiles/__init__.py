"""Profile hidden Markov models of what transcription factors share: the second channel of evidence."""
