"""The commands of `takt`, one module a command."""
