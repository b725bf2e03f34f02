"""Files on disk: a file or folder appears whole or not at all, locks, and rows in Parquet; pauses before a repetition.

Nothing here knows what a row, a figure or a dataset is.
"""
