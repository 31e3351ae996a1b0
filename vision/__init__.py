"""Seeing: what the policy and the reward classifier share of turning camera images into features."""
