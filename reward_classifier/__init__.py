"""Success labels, and the classifier that learns them from camera images."""
