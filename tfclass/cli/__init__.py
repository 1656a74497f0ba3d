"""The command line: one file per verb. Hydra, typer and rich live here only."""
