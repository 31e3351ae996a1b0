"""A Franka behind the arm server."""
