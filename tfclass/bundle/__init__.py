"""A trained model as a folder: weights, description, card, and the files of its channels."""
