"""Training: what is watched, the jobs that train in processes of their own, and the gateway that remote callers use."""
