"""FASTA files and residues: how text becomes records, and records become tokens."""
