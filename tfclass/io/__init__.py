"""Read and write files: whole or not at all, compressed or plain, and over HTTP within limits."""
