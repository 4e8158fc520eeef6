"""Programs that measure how fast the model is."""
