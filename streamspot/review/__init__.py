"""Looking and labelling: a page on loopback beside the user's own videos."""
