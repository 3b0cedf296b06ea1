"""OTLP and JSON bytes in, durable Arrow batches, acknowledgements and the ingest ledger out."""
