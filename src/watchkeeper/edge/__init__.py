"""What runs beside the watched system: reads files, sends OTLP. Does not need the centre to be up."""
