"""The processes of a run: joining, agreeing, noticing that one is lost."""
