"""The Python API; ``sigma_bench`` exports what is public."""
