"""The only place that knows all the others: it wires them into one process or many."""
