"""What both command lines share: options, progress bars, how a run ends, and text that is safe to print."""
