"""The code that is compiled: C sources beside this file, built into one library when the package is built."""
