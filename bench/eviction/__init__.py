"""How eviction is measured: traces, the offline limits, the replay, the independent judge."""
