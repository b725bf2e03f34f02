"""The client for any server that speaks OpenAI's API: chat and batches, rate limits, budget, journal, prices."""
