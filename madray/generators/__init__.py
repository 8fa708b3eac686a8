"""G: one file a family, and the protocol they share. Importing this package loads no torch."""
