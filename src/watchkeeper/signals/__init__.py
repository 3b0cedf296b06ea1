"""What telemetry is, once decoded: Arrow schemas, entities, findings. Does no I/O."""
