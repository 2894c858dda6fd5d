"""How fast a pretraining step is: ours against a plain formulation of the same mathematics, side by side."""
