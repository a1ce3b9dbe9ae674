"""The command line: what every command of the project shares."""
