"""Rebuilds the data that Tepi ships (`geo/data`) from open files that are given as arguments."""
