"""ECG records, their pages as images, photo effects and labels."""
