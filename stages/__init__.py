"""The seven DVC stages. Each is a thin click command: paths, parameters, one call, files written."""
