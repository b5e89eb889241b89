"""What the weights find in people they have never seen: by muscle, side, speed, size, speech, motion of the head."""
