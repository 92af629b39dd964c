"""Pictures, tables and pages, one figure a file. Everything drawn here takes plain tensors and returns where it wrote."""
