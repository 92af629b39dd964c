"""Other libraries' samplers and methods, as the kit asks for them; each module imports its library when it is used."""
