"""Jobs: kept, started, run, cancelled; and one module for each type of job."""
