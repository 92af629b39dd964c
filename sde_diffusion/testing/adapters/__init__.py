"""Other libraries' samplers and methods, in the form that the kit takes. Each module imports its library when it is used."""
