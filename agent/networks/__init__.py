"""Networks of the state-based agent, and the CPU kernels beneath them."""
