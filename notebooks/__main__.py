"""`python -m notebooks` executes chapters."""

import sys

if __name__ == "__main__":
    try:
        from notebooks.execute import main

        sys.exit(main())
    except KeyboardInterrupt:  # before anything was done
        sys.exit("stopped; nothing was changed")
