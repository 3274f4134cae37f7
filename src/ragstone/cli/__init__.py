"""The command line `ragstone`."""
