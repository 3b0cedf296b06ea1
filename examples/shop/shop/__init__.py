"""A real small shop of six instrumented services, with faults to switch on: something for Watchkeeper to watch."""
