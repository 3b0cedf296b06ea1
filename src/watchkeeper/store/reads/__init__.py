"""What pages, commands and reports ask of the store: parametrised SQL in, plain data out."""
