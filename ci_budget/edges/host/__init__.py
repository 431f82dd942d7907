"""This machine: its disks, its schedules."""
