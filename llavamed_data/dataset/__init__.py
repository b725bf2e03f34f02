"""What a published dataset is: its schema, columns, messages and shards, one writer and one reader."""
