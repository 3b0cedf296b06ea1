"""Models of the product and trivial baselines, brought to the forms; one file each."""
