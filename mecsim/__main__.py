"""`python -m mecsim` is the command `mecsim`."""

from mecsim.experiments.cli import main

if __name__ == "__main__":
    main()
