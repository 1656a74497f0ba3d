"""Programs that compare sequences: MMseqs2 and HMMER, and the profiles that HMMER searches with."""
