"""Which category of failure it is: by rules with no training, learned from labelled incidents, from text alone."""
