"""Training a student: teachers, losses and the resumable loop."""
