"""HIL-SERL's robot server protocol, both ways: offered to its clients, and spoken to its servers."""
