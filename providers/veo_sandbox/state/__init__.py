"""What one home remembers: settings, clock, tasks, money, requests and clips."""
