"""Parts of `compare.py`: whole commands of `bundle` and of its peers, timed side by side."""
