"""Let ``python -m bot`` be the ``holdfast`` command."""

from bot.cli import main

if __name__ == "__main__":
    main()
