"""`handrail rig`."""
