"""The state of one home: settings, clock, tasks, money, requests and clips."""
