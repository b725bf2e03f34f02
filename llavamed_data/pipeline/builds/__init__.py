"""What builds datasets: from articles, from the released rows, from the files of a benchmark."""
