"""What is PostgreSQL's own, beside the contract suite."""
