"""The networks.

Every tensor name ends in its shape. The legend:

====  =====================================================
``B``  sequences in the batch
``L``  longest length in the batch (residues; steps after a pooling stem)
``V``  alphabet, padding included
``E``  embedding
``H``  hidden units per direction
``F``  features per step that an encoder gives (2H for a bidirectional one)
``G``  gates
``C``  classes
``K``  families; k-mers in `tfclass.training.skipgram`
``S``  steps, `stem.pool` residues each
``W``  places of a convolution's window
``M``  places in a line of sequences, or of a padded batch; ``Z`` those that are empty, ``N`` those that are not
``N``  elsewhere, proteins of a data set, for which arrays outside this package stand; ``R`` resamples of them
====  =====================================================

So ``tokens_BL`` is an integer matrix, ``states_BLF`` what an encoder returns, ``logits_BC`` what the classifier
returns. Padding is always on the right, and nothing a network returns may depend on how much of it there is.
"""
