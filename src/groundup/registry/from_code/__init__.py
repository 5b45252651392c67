"""The scripts that MLflow keeps as code beside a model's files and runs to load it; none of them is a pickle.

Each has the name of the model's folder.
"""
