"""The causal network: weights shared by all streams, a small state for each."""
