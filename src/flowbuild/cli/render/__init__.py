"""What people see of runs in a terminal. Import the module you need: those that use Rich cost start-up time."""
