"""`handrail export`: episodes as CSV, as a film, as a LeRobotDataset."""
