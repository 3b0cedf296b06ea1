"""The one place that wires the stages together: store, receivers, pipeline, findings, housekeeping."""
