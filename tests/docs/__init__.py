"""The README and the guides: what they show is what the commands print, and the options they name exist."""
