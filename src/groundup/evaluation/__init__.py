"""How good the three models are: figures with their uncertainty, beside baselines, from the test side alone."""
