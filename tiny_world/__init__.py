"""The drawn world of the embedded base model, its probe and its trainers. Not published to the Registry."""
