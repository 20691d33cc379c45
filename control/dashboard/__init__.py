"""The dashboard: pages for the operator, rendered here, live by server-sent events."""
