"""The container harness: edges and a centre on one machine, by podman or docker."""
