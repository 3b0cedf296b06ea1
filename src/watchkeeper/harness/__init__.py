"""The container harness: three edges and one centre over mutual TLS, built and run by Podman or Docker."""
