"""Snakemake wrapper for tfclass predict."""

__author__ = "The tfclass authors"
__copyright__ = "Copyright 2026, The tfclass authors"
__license__ = "MIT"

from snakemake.shell import shell

extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)

summary = ""
if snakemake.output.get("summary"):
    summary = " --summary {snakemake.output.summary:q}"

shell(
    "tfclass predict {snakemake.input.fasta:q}"
    " --output {snakemake.output.predictions:q}"
    " --threads {snakemake.threads}" + summary + " {extra} {log}"
)
