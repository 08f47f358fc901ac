"""`python -m services.cli`: the same as `gtn-nas`."""

from services.cli import main

if __name__ == "__main__":
    main()
