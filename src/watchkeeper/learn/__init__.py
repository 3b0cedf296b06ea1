"""Neural networks that are trained by the extra `learning` and score without it; rows, lines and series come in."""
