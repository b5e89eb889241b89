"""Point-supervised training, evaluation and leave-one-subject-out on region motion."""
