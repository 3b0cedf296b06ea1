"""Neural networks and boosted trees: trained with the extras, scored by ONNX Runtime without torch."""
