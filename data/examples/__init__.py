"""Eight well-known proteins, which `tfclass predict --example` reads."""
