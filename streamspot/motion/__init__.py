"""Frame pairs in, motion of facial regions out, head motion removed, on a fixed 30 Hz grid."""
