"""The stations between a source and a dataset, and the engine that runs them."""
