"""HTTP/2 (RFC 9113) into the same pipeline."""
