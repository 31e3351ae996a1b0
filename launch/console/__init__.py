"""The operator's console: a web page beside the arm, in a process of its own."""
