"""The command line, one file a command. Holds no logic of its own."""
