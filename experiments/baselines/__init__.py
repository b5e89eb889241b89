"""The baselines of the paper's Table 1, on the same features, network and decoder as the method itself."""
