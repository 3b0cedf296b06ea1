"""What this machine is and how it fares: doctor's checks, GPU health, events of the kernel log. Needs no centre."""
