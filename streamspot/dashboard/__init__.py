"""What a person sees of a running stream: a live picture in a terminal, plain lines without one."""
