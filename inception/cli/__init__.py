"""The command line: code that all commands share."""
