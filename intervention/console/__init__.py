"""What connects a control loop to the operator's console: commands in, pictures and steps out."""
