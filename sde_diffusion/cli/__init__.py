"""The command `sde-diffusion`: one file a command in `commands/`, found by walking that folder.

Importing this package loads no torch; a command imports what it needs when it runs.
"""
