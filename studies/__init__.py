"""Programs that train many models to answer one question, and leave records."""
