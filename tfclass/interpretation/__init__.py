"""Looking inside a network: what its gates did."""
