"""Pictures, tables and pages, one figure a file. What is drawn here takes plain tensors and returns where it wrote."""
