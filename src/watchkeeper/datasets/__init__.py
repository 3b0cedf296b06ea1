"""Public data sets: where they come from, their checksums, how they are fetched and read."""
