"""`python -m control.cli` is `tepi`."""

from control.cli import main

main(prog_name="tepi")
