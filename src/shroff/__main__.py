"""`python -m shroff`: the command line."""

from shroff.cli import main

if __name__ == "__main__":
    main()
