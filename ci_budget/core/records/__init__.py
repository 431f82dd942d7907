"""The stored formats: report and baseline."""
