"""`handrail classify`."""
