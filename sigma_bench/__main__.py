"""``python -m sigma_bench``: what torchrun starts."""

from sigma_bench.cli.main import app_main

app_main()
