"""What holds Tepi to its word. It is a package, for dependencies bring a `tests` of their own."""
