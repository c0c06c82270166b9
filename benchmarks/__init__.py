"""Programs that measure the vault, and the data they use."""
