"""The harness: the product's own classes on labelled data, scored honestly."""
