"""Final models in MLflow's registry: what is logged, which version is the champion, and how it answers."""
