"""``python -m sigma_bench``: the command line as a module, which torchrun starts."""

from sigma_bench.cli.main import app_main

app_main()
