"""Who is who from frame to frame, and which side is left."""
