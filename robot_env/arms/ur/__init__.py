"""A Universal Robots arm behind the arm server."""
