"""What the service is about, with no input, output or framework: datasets, records, dates, jobs, errors."""
