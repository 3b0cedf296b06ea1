"""The durable store: write-ahead log, Parquet segments, SQL over both, metadata in SQLite. Does not know OTLP."""
