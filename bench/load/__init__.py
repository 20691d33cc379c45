"""Whole servers under load: Tepi and its peers, what they cost, what this machine is."""
