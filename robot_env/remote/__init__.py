"""The arm server and its clients: one process owns an arm, everybody else talks to it."""
