"""Explanations of a prediction: which residues, states and channels it rests on."""
