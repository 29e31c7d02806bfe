"""What single adapters promise beyond the contract suite, and the parts that they share."""
