"""`python -m madray`, the same as `madray`."""

from madray.cli import main

if __name__ == "__main__":
    main()
