"""Everything on this machine: the parts of a fleet as real processes that talk over real sockets."""
