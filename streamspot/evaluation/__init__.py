"""Evaluation: detections against annotated expressions, under the strict protocol and the paper's."""
